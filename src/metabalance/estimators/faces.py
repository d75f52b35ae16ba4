"""Embeddings of faces, or of anything else with identities, learned by telling the identities apart."""

import os
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from metabalance.estimators.base import ImbalancedClassifier
from metabalance.estimators.checkpoints import NOT_ROUTED_NETWORK
from metabalance.estimators.meta_weight_net import MetaWeightNetClassifier
from metabalance.estimators.metabalance import MetaBalanceClassifier
from metabalance.estimators.persistence import load_model
from metabalance.estimators.plain import NeuralClassifier
from metabalance.training import Embeds

IMAGE_DIMENSIONS = 4


class FaceEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Embeddings in which images of the same person are near one another, for people never seen before.

    A classifier learns to tell the identities of the training images apart; what its last layer sees of an
    image is the embedding. Compare two by their scalar product, which is the cosine of their angle; see
    `metabalance.evaluation.identification_rates`.

    Parameters
    ----------
    classifier : MetaBalanceClassifier, NeuralClassifier or MetaWeightNetClassifier, optional
        By default MetaBalance with over-sampled query batches, CosFace on the focal loss, shifts and mirror
        images: the recipe of the paper (appendix A.4) on a narrow network. A ``module`` of your own needs a
        method ``embed``, as `metabalance.nn.ResNet` has.

    Attributes
    ----------
    classifier_ : estimator
        Fitted.
    n_features_in_ : int
        Values of a row.
    feature_names_in_ : array of str
        Names of the columns, where a network of your own takes a table with names.

    References
    ----------
    Bansal et al. (2021), MetaBalance, section 5.3; Wang et al. (2018), CosFace.

    Examples
    --------
    >>> import numpy as np
    >>> from metabalance import FaceEmbedder, NeuralClassifier
    >>> rng = np.random.default_rng(0)
    >>> identity, sex = np.arange(60) % 6, np.arange(60) % 2
    >>> images = rng.integers(256, size=(60, 3, 8, 8), dtype=np.uint8)
    >>> embedder = FaceEmbedder(NeuralClassifier(sampler="over", max_epochs=1, random_state=0))
    >>> embedder.fit(images, identity, balance_by=sex).transform(images[:4]).shape
    (4, 32)
    """

    def __init__(self, classifier: Any = None) -> None:
        self.classifier = classifier

    __metadata_request__fit = NOT_ROUTED_NETWORK

    def fit(
        self,
        X: Any,
        y: Any = None,
        balance_by: Any = None,
        checkpoint: Any = None,
        resume: bool = False,
        process_group: Any = None,
    ) -> Self:
        """Learn from images X of identities y, with batches balanced by group where groups are given.

        Parameters
        ----------
        X : array of shape (n_rows, channels, height, width)
            Or whatever the classifier's module takes.
        y : array of shape (n_rows,)
            Whom each image shows: labels of any kind, at least two images of each.
        balance_by : array of shape (n_rows,) or (n_rows, k), optional
            As in the ``fit`` of the classifier, such as the sex of each person.
        checkpoint, resume, process_group
            As in the ``fit`` of the classifier.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As the classifier, or if its network cannot say what its last layer sees.
        """
        wanted = _default() if self.classifier is None else self.classifier
        if not isinstance(wanted, ImbalancedClassifier):
            raise TypeError(
                "classifier must be a MetaBalanceClassifier, NeuralClassifier, MetaWeightNetClassifier or "
                f"None, got {wanted!r}"
            )
        classifier = clone(wanted)
        _check_can_embed(classifier.module, X)
        self._keep(classifier.fit(X, y, balance_by, checkpoint, resume, process_group))
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return embeddings of length 1, shape (n_rows, d)."""
        check_is_fitted(self)
        embedded: NDArray[np.float32] = self.classifier_.embed(X)
        return embedded

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the classifier as a folder with safetensors and JSON; see `NeuralClassifier.save`."""
        check_is_fitted(self)
        self.classifier_.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, module: Any = None, device: Any = "auto") -> Self:
        """Return an embedder of the classifier saved at path; see `NeuralClassifier.load`."""
        known: tuple[type, ...] = (MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier)
        classifier = load_model({each.__name__: each for each in known}, path, module, device)
        embedder = cls(clone(classifier))
        embedder._keep(classifier)
        return embedder

    def _keep(self, classifier: ImbalancedClassifier) -> None:
        network, rows = (
            classifier.module_,
            torch.zeros(1, *classifier.input_shape_, device=classifier.device_),
        )
        if not isinstance(network, Embeds):
            raise TypeError(f"the network of this model, a {type(network).__name__}, has no method embed")
        with torch.no_grad():
            self._n_features_out = network.embed(rows).shape[1]
        self.classifier_ = classifier

    @property
    def n_features_in_(self) -> int:
        """Values of a row."""
        check_is_fitted(self)
        return int(self.classifier_.n_features_in_)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the columns, where a table has them."""
        check_is_fitted(self)
        names: NDArray[Any] = self.classifier_.feature_names_in_
        return names

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what goes in and comes out: labels are needed, embeddings are float32."""
        tags = super().__sklearn_tags__()
        takes_tables = self.classifier is not None and getattr(self.classifier, "module", None) is not None
        tags.input_tags.allow_nan = tags.input_tags.two_d_array = takes_tables  # by a network of one's own
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _check_can_embed(module: Any, X: Any) -> None:
    """Raise TypeError for a network that will not say what its last layer sees, before it is trained."""
    if module is None and np.ndim(X) == IMAGE_DIMENSIONS:
        return
    able = issubclass(module, Embeds) if isinstance(module, type) else isinstance(module, Embeds)
    if not able:
        raise TypeError(
            f"X of shape {np.shape(X)} gets a network without embeddings: pass images of shape (n, channels, "
            "height, width), or a classifier with a module that has a method embed"
            if module is None
            else f"module={module!r:.80} has no method embed, which returns what its last layer sees of rows"
        )


def _default() -> MetaBalanceClassifier:
    return MetaBalanceClassifier(query_sampler="over", loss="cosface_focal", augment="crop-and-flip")
