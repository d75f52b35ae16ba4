"""Tables from files, imbalance recipes, and the data sets that are built in."""

from metabalance.datasets.builtin import BUILTIN, Dataset, load_builtin
from metabalance.datasets.celeba import load_celeba
from metabalance.datasets.cifar import load_cifar10
from metabalance.datasets.credit import load_card_fraud, load_loan_default
from metabalance.datasets.face_set import FaceSet
from metabalance.datasets.faces import load_identity_folder, split_identities, thin_group
from metabalance.datasets.files import read_table, split_target
from metabalance.datasets.image_set import ImageSet
from metabalance.datasets.images import load_image_arrays, load_image_folder
from metabalance.datasets.imbalance import long_tailed, one_majority, step_imbalance, thin_class
from metabalance.datasets.splitters import OneMajoritySplit

__all__ = [
    "BUILTIN",
    "Dataset",
    "FaceSet",
    "ImageSet",
    "OneMajoritySplit",
    "load_builtin",
    "load_card_fraud",
    "load_celeba",
    "load_cifar10",
    "load_identity_folder",
    "load_image_arrays",
    "load_image_folder",
    "load_loan_default",
    "long_tailed",
    "one_majority",
    "read_table",
    "split_identities",
    "split_target",
    "step_imbalance",
    "thin_class",
    "thin_group",
]
