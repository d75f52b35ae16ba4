"""The named sampling strategies: what each one does, needs and promises."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

from imblearn.combine import SMOTEENN
from imblearn.over_sampling import ADASYN, SVMSMOTE, BorderlineSMOTE
from imblearn.over_sampling import SMOTE as ImblearnSMOTE
from imblearn.under_sampling import AllKNN, ClusterCentroids, EditedNearestNeighbours, NearMiss
from sklearn.base import clone

from metabalance.sampling.neighbours import (
    Neighbours,
    among_all_rows,
    among_balanced_rows,
    within_each_grown_class,
    within_smallest_class,
)
from metabalance.sampling.smote import SMOTE


@runtime_checkable
class SamplerLike(Protocol):
    """Anything with imbalanced-learn's ``fit_resample``."""

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Return the resampled rows and their labels."""


@dataclass(frozen=True)
class Strategy:
    """What a sampling strategy is, needs and promises.

    Parameters
    ----------
    name : str
        The same in Python, on the command line and in reports.
    title : str
        For readers.
    summary : str
        One line.
    kind : {"index", "selecting", "generating", "custom"}
        ``index`` chooses row numbers and never looks at X, so that any dtype and shape will do; it is renewed
        on every pass. ``selecting`` keeps a subset of the real rows, chosen by distances. ``generating`` may
        hold rows that do not exist. ``custom`` is the user's own sampler, about which nothing is assumed.
    balanced : bool
        Whether all classes are drawn equally often: exactly equal counts in a pass. False for ``natural``,
        ``enn`` and ``allknn``, which do not try, and for ``adasyn``, ``smoteenn`` and ``svmsmote``, which
        only come near it: ADASYN rounds per row, ENN removes rows after SMOTE has balanced, and imbalanced-
        learn's SVM-SMOTE adds only a share of the missing rows where the support vectors of a class are all
        at the border, or all inside.
    reference : str
        The paper it comes from.
    build : callable, optional
        Makes the sampler, given its neighbour counts; None for the index strategies.
    neighbours : tuple of Neighbours, optional
        The neighbour counts that ``build`` takes.
    on_failure : str, optional
        Why the sampler may find nothing to do on sound data, and what to use then.
    """

    name: str
    title: str
    summary: str
    kind: Literal["index", "selecting", "generating", "custom"]
    balanced: bool
    reference: str
    build: Callable[..., SamplerLike] | None = field(default=None, repr=False)
    neighbours: tuple[Neighbours, ...] = field(default=(), repr=False)
    on_failure: str = field(default="use natural, over or under instead", repr=False)

    @property
    def needs_numeric_2d(self) -> bool:
        """Whether X must be finite numbers of shape (n, features)."""
        return self.kind in ("selecting", "generating")


def _smoteenn(k_neighbors: int, n_neighbors: int) -> SamplerLike:
    # As imbalanced-learn's default, whose cleaning step looks at every class.
    enn = EditedNearestNeighbours(sampling_strategy="all", n_neighbors=n_neighbors)
    sampler: SamplerLike = SMOTEENN(smote=ImblearnSMOTE(k_neighbors=k_neighbors), enn=enn)
    return sampler


_OWN_CLASS = Neighbours("k_neighbors", 5, within_each_grown_class)
_BORDER = Neighbours("m_neighbors", 10, among_all_rows)

_ALL = (
    Strategy(
        name="natural",
        title="Natural",
        summary="every row once per pass, at the classes' own frequencies",
        kind="index",
        balanced=False,
        reference="Plain training, the usual support stream of Bansal et al. (2021), MetaBalance",
    ),
    Strategy(
        name="over",
        title="Oversampling",
        summary="the classes in turn, and from each any row, with replacement",
        kind="index",
        balanced=True,
        reference="Japkowicz & Stephen (2002), The class imbalance problem, Intelligent Data Analysis 6(5)",
    ),
    Strategy(
        name="under",
        title="Undersampling",
        summary="as many rows of each class as the smallest has, chosen anew for every pass",
        kind="index",
        balanced=True,
        reference="Japkowicz & Stephen (2002), The class imbalance problem, Intelligent Data Analysis 6(5)",
    ),
    Strategy(
        name="smote",
        title="SMOTE",
        summary="new rows on the lines between neighbours of the same class",
        kind="generating",
        balanced=True,
        reference="Chawla et al. (2002), SMOTE, Journal of Artificial Intelligence Research 16",
        build=SMOTE,
        neighbours=(_OWN_CLASS,),
    ),
    Strategy(
        name="svmsmote",
        title="SVM-SMOTE",
        summary="SMOTE around the support vectors of an SVM; classes end about equal at best",
        kind="generating",
        balanced=False,
        reference="Nguyen, Cooper & Kamei (2011), Borderline over-sampling, Int. J. KESDP 3(1)",
        build=SVMSMOTE,
        neighbours=(_OWN_CLASS, _BORDER),
        on_failure="all support vectors of a class lie among other classes: use smote",
    ),
    Strategy(
        name="enn",
        title="ENN",
        summary="drops rows of larger classes whose neighbours disagree; classes stay unequal",
        kind="selecting",
        balanced=False,
        reference="Wilson (1972), Asymptotic properties of nearest neighbor rules, IEEE Trans. SMC 2(3)",
        build=EditedNearestNeighbours,
        neighbours=(Neighbours("n_neighbors", 3, among_all_rows),),
    ),
    Strategy(
        name="cluster_centroids",
        title="Cluster centroids",
        summary="k-means centres in place of the rows of larger classes",
        kind="generating",
        balanced=True,
        reference="Lin et al. (2017), Clustering-based undersampling, Information Sciences 409-410",
        build=ClusterCentroids,
    ),
    Strategy(
        name="borderline_smote",
        title="Borderline-SMOTE",
        summary="SMOTE from rows near the border to another class",
        kind="generating",
        balanced=True,
        reference="Han, Wang & Mao (2005), Borderline-SMOTE, ICIC",
        build=BorderlineSMOTE,
        neighbours=(_OWN_CLASS, _BORDER),
        on_failure="the class has no row at a border, where at least half of the neighbours, but not all, "
        "are of other classes: use smote",
    ),
    Strategy(
        name="adasyn",
        title="ADASYN",
        summary="SMOTE with more rows where other classes are near; classes end about equal",
        kind="generating",
        balanced=False,
        reference="He et al. (2008), ADASYN, IJCNN",
        build=ADASYN,
        neighbours=(Neighbours("n_neighbors", 5, within_each_grown_class),),
        on_failure="a class has no neighbours of other classes, or lacks too few rows to share: use smote",
    ),
    Strategy(
        name="nearmiss",
        title="NearMiss",
        summary="the rows of larger classes that are nearest to the smallest class",
        kind="selecting",
        balanced=True,
        reference="Mani & Zhang (2003), kNN approach to unbalanced data distributions, ICML workshop",
        build=NearMiss,
        neighbours=(Neighbours("n_neighbors", 3, within_smallest_class),),
    ),
    Strategy(
        name="allknn",
        title="AllKNN",
        summary="ENN repeated with 1, 2 and 3 neighbours; classes stay unequal",
        kind="selecting",
        balanced=False,
        reference="Tomek (1976), An experiment with the edited nearest-neighbor rule, IEEE Trans. SMC 6(6)",
        build=AllKNN,
        neighbours=(Neighbours("n_neighbors", 3, among_all_rows),),
        on_failure="too few rows are left after its first rounds: use enn",
    ),
    Strategy(
        name="smoteenn",
        title="SMOTE-ENN",
        summary="SMOTE, then rows whose neighbours disagree are dropped; classes end about equal",
        kind="generating",
        balanced=False,
        reference="Batista, Prati & Monard (2004), Balancing machine learning training data, SIGKDD 6(1)",
        build=_smoteenn,
        neighbours=(_OWN_CLASS, Neighbours("n_neighbors", 3, among_balanced_rows)),
    ),
)

STRATEGIES: Mapping[str, Strategy] = MappingProxyType({strategy.name: strategy for strategy in _ALL})
"""All named strategies, by name, in the order in which they are listed to users."""


def resolve_strategy(spec: str | SamplerLike) -> Strategy:
    """Find a strategy by name, or wrap the user's own sampler as one.

    Parameters
    ----------
    spec : str or object with ``fit_resample``
        A sampler object is cloned before every use and stays as it is.

    Returns
    -------
    Strategy

    Raises
    ------
    ValueError
        If no strategy has this name.
    TypeError
        If it is neither a name nor an object with ``fit_resample``.

    Examples
    --------
    >>> resolve_strategy("under").summary
    'as many rows of each class as the smallest has, chosen anew for every pass'
    >>> from imblearn.under_sampling import TomekLinks
    >>> resolve_strategy(TomekLinks()).kind
    'custom'
    """
    if isinstance(spec, str):
        if spec not in STRATEGIES:
            close = get_close_matches(spec.lower(), STRATEGIES, n=1, cutoff=0.5)
            hint = f", did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"unknown sampling strategy {spec!r}{hint} (known: {', '.join(STRATEGIES)})")
        return STRATEGIES[spec]
    if isinstance(spec, type):
        raise TypeError(f"a sampler must be an object, got the class {spec.__name__}: pass {spec.__name__}()")
    if not isinstance(spec, SamplerLike):
        raise TypeError(
            f"a sampler must be a strategy name or an object with fit_resample, got {spec!r} of type "
            f"{type(spec).__name__} (known names: {', '.join(STRATEGIES)})"
        )
    return Strategy(
        name=type(spec).__name__,
        title=type(spec).__name__,
        summary="the user's own sampler",
        kind="custom",
        balanced=False,
        reference="",
        build=partial(clone, spec, safe=False),
    )
