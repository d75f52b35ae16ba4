"""The methods of a comparison, by name: one entry each.

A method is a recipe for an unfitted scikit-learn classifier. The networks all get the same options (network,
budget, early stopping), so that what is left between two of them is the method.
"""

import difflib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone, is_classifier

from metabalance.estimators import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
from metabalance.estimators.base import ImbalancedClassifier
from metabalance.evaluation.comparison import MethodInfo
from metabalance.evaluation.posthoc import correct_prior
from metabalance.evaluation.rivals import RIVALS
from metabalance.evaluation.tuned_network import TunedNetwork
from metabalance.sampling import STRATEGIES
from metabalance.search import MSMetaBalanceClassifier

DEFAULT_PAIR = "natural/under"
ABLATION = "no-adaptation"
PLACES = {
    "adapted": (" at θ′", "; predicts after one inner step on support rows"),
    "meta": (" at θ", "; predicts without an inner step"),
}
SEARCH = "ms-metabalance"
DEFAULT_METHODS = (
    "naive",
    "over",
    "under",
    "smote",
    "class-weighted",
    "focal",
    "metabalance",
    "metabalance@adapted",
    "logistic-regression:balanced",
    *(("lightgbm", "lightgbm:balanced") if importlib.util.find_spec("lightgbm") else ()),
    "balanced-random-forest",
)

# builds an estimator from (options shared by all networks, random_state)
Build = Callable[[Mapping[str, Any], int], BaseEstimator]
# turns (probabilities, training rows of each of their classes) into the method's probabilities
PostHoc = Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]


@runtime_checkable
class GivesProbabilities(Protocol):
    """A classifier with ``predict`` and ``predict_proba``."""

    def predict(self, X: Any) -> Any:
        """Return labels."""

    def predict_proba(self, X: Any) -> Any:
        """Return class probabilities."""


@dataclass(frozen=True)
class Method:
    """What a row of the leaderboard is, how to make its classifier, and what its probabilities go through."""

    info: MethodInfo
    build: Build
    ablation: str | None = None  # the method that shows what the meta-gradient adds to this one
    post_hoc: PostHoc | None = None


def _network(estimator: type[ImbalancedClassifier] = NeuralClassifier, **own: Any) -> Build:
    return lambda shared, seed: estimator(**{**shared, **own, "random_state": seed})


def _weighted(**own: Any) -> Build:
    """By the effective number of rows, which is no aim of decisions, whatever "auto" makes of it."""

    def build(shared: Mapping[str, Any], seed: int) -> BaseEstimator:
        decision = "balanced" if shared.get("early_stopping", True) else "auto"
        weighted = {"decision": decision, **shared, "class_weight": "effective_number"}
        return NeuralClassifier(**{**weighted, **own, "random_state": seed})

    return build


def _naive(shared: Mapping[str, Any], seed: int) -> BaseEstimator:
    return NeuralClassifier(
        **{"decision": "most_probable", **shared, "sampler": "natural", "random_state": seed}
    )


def _searched(shared: Mapping[str, Any], seed: int) -> BaseEstimator:
    # One fit at a time: the comparison itself is what runs in parallel.
    return MSMetaBalanceClassifier(
        MetaBalanceClassifier(**shared), scoring=shared.get("scoring"), n_jobs=1, random_state=seed
    )


def _tuned(shared: Mapping[str, Any], seed: int) -> BaseEstimator:
    return TunedNetwork(NeuralClassifier(**{**shared, "random_state": seed}))


def _fixed_methods() -> dict[str, Method]:
    networks = {
        "naive": (
            "Naive network",
            "plain training on the data as they are; predicts the most probable class",
            _naive,
        ),
        "class-weighted": (
            "Class weights",
            "plain training, the loss weighted by inverse class frequency",
            _network(class_weight="balanced"),
        ),
        "focal": (
            "Focal loss",
            "plain training with focal loss, γ = 2 (Lin et al. 2017)",
            _network(loss="focal"),
        ),
        "class-balanced": (
            "Class-balanced loss",
            "plain training, the loss weighted by the effective number of rows, β = 0.999 (Cui et al. 2019)",
            _weighted(),
        ),
        "class-balanced-focal": (
            "Class-balanced focal loss",
            "plain training with focal loss on the softmax, γ = 2, weighted by the effective number of rows, "
            "β = 0.999 (Cui et al. 2019)",
            _weighted(loss="focal"),
        ),
        "logit-adjusted": (
            "Logit adjustment",
            "plain training, the log class frequencies added to the logits in the loss (Menon et al. 2021), "
            "as in Balanced Softmax (Ren et al. 2020)",
            _network(loss="logit_adjusted"),
        ),
        "ldam-drw": (
            "LDAM-DRW",
            "plain training with larger margins for rarer classes, weighted by the effective number of rows "
            "in the last fifth of the epochs, for which early stopping waits (Cao et al. 2019)",
            _weighted(loss="ldam", reweight_from=0.8),
        ),
        "sam": (
            "Sharpness-aware minimisation",
            "plain training by the gradient at the worst place within ρ = 0.05 (Foret et al. 2021), on the "
            "data as they are",
            _network(sam_rho=0.05),
        ),
        "mixup": (
            "Mixup",
            "plain training on blended rows (Zhang et al. 2018), as they come",
            _network(mixing="mixup"),
        ),
        "cutmix": (
            "CutMix",
            "plain training on images with boxes of others pasted in (Yun et al. 2019), as they come",
            _network(mixing="cutmix"),
        ),
        "over-mixup": (
            "Oversampling + mixup",
            "plain training on blended rows of classes drawn alike often",
            _network(sampler="over", mixing="mixup"),
        ),
        "over-cutmix": (
            "Oversampling + CutMix",
            "plain training on images of classes drawn alike often, with boxes of others pasted in",
            _network(sampler="over", mixing="cutmix"),
        ),
        "tuned": (
            "Tuned network",
            "plain training, the best of eight settings (sampler, rate, weight decay, batches and more) by "
            "cross-validation inside each training part; every network trained for that has a budget of its "
            "own, and its rows are counted",
            _tuned,
        ),
        "meta-weight-net": (
            "Meta-Weight-Net",
            "rows weighted by a network of their loss that learns from balanced batches (Shu et al. 2019)",
            _network(MetaWeightNetClassifier),
        ),
    }
    for name, strategy in STRATEGIES.items():
        if name != "natural":
            networks[name] = (
                strategy.title,
                f"plain training; {strategy.summary}",
                _network(sampler=name),
            )
    methods = {
        name: Method(MethodInfo(name, title, "network", description), build)
        for name, (title, description, build) in networks.items()
    }
    corrected = MethodInfo(
        "prior-corrected",
        "Prior correction",
        "network",
        "the naive network, its probabilities divided by the training frequencies (Saerens et al. 2002); for "
        "two classes it ranks as the naive network does",
    )
    methods[corrected.name] = replace(methods["naive"], info=corrected, post_hoc=correct_prior)
    methods[SEARCH] = Method(
        MethodInfo(
            SEARCH,
            "MS-MetaBalance",
            "metabalance",
            "MetaBalance with the pair of strategies chosen by cross-validation inside each training part, "
            "out of the paper's 49; every network trained for that has a budget of its own, and its rows are "
            "counted",
        ),
        _searched,
        ablation=ABLATION,
    )
    for name, rival in RIVALS.items():
        info = MethodInfo(name, rival.title, "rival", rival.description)
        methods[name] = Method(info, rival.build, post_hoc=rival.post_hoc)
    return methods


# prefix → (title, what it is, options, family); each takes ":support/query", and "@adapted" or "@meta".
META_FORMS: Mapping[str, tuple[str, str, dict[str, Any], str]] = {
    "metabalance": ("MetaBalance", "exact meta-gradient (Algorithm 1)", {}, "metabalance"),
    "first-order": (
        "First order",
        "ablation: MetaBalance without the second-order term",
        {"order": "first"},
        "metabalance",
    ),
    ABLATION: (
        "No adaptation",
        "ablation: MetaBalance with an inner step of 0, plain training on query + β · support batches",
        {"inner_lr": 0.0},
        "network",
    ),
}
FIXED_METHODS = _fixed_methods()


def method_names() -> tuple[str, ...]:
    """All names, the forms of MetaBalance with their default pair of strategies."""
    return (*FIXED_METHODS, *META_FORMS)


def resolve_method(spec: Any) -> Method:
    """Return the method for a name, or for a (name, classifier) pair of the user's own.

    Parameters
    ----------
    spec : str or (str, classifier)
        A name from `method_names`; ``metabalance``, ``first-order`` and ``no-adaptation`` also as
        ``metabalance:SUPPORT/QUERY`` with two strategy names, and with ``@adapted`` or ``@meta`` to predict
        at θ' or at θ.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If spec is neither a name nor a pair with a classifier.
    """
    if isinstance(spec, str):
        return FIXED_METHODS[spec] if spec in FIXED_METHODS else _resolve_meta_form(spec)
    name, classifier = spec if isinstance(spec, tuple) and len(spec) == 2 else (None, None)
    if isinstance(name, str) and isinstance(classifier, BaseEstimator) and is_classifier(classifier):
        if not isinstance(classifier, GivesProbabilities):
            raise TypeError(
                f"{name}: a comparison needs labels and probabilities, {type(classifier).__name__} has no "
                "predict_proba, or no predict; wrap it in sklearn.calibration.CalibratedClassifierCV"
            )
        info = MethodInfo(name, name, _family(classifier), f"your own {type(classifier).__name__}")
        return Method(info, lambda shared, seed: _seeded_copy(classifier, seed))
    raise TypeError(f"a method is a name or a (name, classifier) pair, got {spec!r}")


def with_ablations(methods: tuple[Method, ...]) -> tuple[Method, ...]:
    """Put the no-adaptation ablation behind every MetaBalance method that lacks it."""
    listed = {method.info.name for method in methods}
    complete: list[Method] = []
    for method in methods:
        complete.append(method)
        if method.ablation is not None and method.ablation not in listed:
            listed.add(method.ablation)
            complete.append(resolve_method(method.ablation))
    return tuple(complete)


def _seeded_copy(classifier: Any, seed: int) -> Any:
    """A copy that takes the comparison's seed, unless the user has set one."""
    copy = clone(classifier)
    if copy.get_params(deep=False).get("random_state", seed) is None:
        copy.set_params(random_state=seed)
    return copy


def _family(classifier: Any) -> str:
    if isinstance(classifier, MetaBalanceClassifier | MSMetaBalanceClassifier):
        return "metabalance"
    return "network" if isinstance(classifier, ImbalancedClassifier) else "rival"


def _resolve_meta_form(name: str) -> Method:
    body, at, where = name.partition("@")
    form, colon, pair = body.partition(":")
    if form not in META_FORMS:
        # "natural" is a strategy; trained plainly on it, a network is the naive one.
        close = ["naive"] if name == "natural" else difflib.get_close_matches(name, method_names(), n=1)
        if "/" in name and not colon:
            close = [f"metabalance:{name}"]
        raise ValueError(
            f"there is no method {name!r}{f'; did you mean {close[0]!r}?' if close else '.'} "
            f"Methods: {', '.join(method_names())}, and metabalance:SUPPORT/QUERY with other strategies"
        )
    if at and where not in PLACES:
        raise ValueError(f"method {name!r} ends in @{where}; there are @adapted and @meta")
    support, slash, query = (pair if colon else DEFAULT_PAIR).partition("/")
    for strategy in (support, query):
        if not slash or strategy not in STRATEGIES:
            raise ValueError(
                f"method {name!r} must be {form}:SUPPORT/QUERY with two of the strategies "
                f"{', '.join(STRATEGIES)}"
            )
    title, description, options, family = META_FORMS[form]
    info = MethodInfo(
        name,
        f"{title} {support}/{query}{PLACES[where][0] if at else ''}",
        family,
        f"{description}; support batches {support}, query batches {query}" + (PLACES[where][1] if at else ""),
    )
    build = _network(
        MetaBalanceClassifier,
        support_sampler=support,
        query_sampler=query,
        predict_with=where or "auto",
        **options,
    )
    return Method(info, build, None if form == ABLATION else ABLATION + colon + pair)
