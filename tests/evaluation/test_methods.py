import pytest
from sklearn.linear_model import LogisticRegression

from metabalance import (
    MetaBalanceClassifier,
    MetaWeightNetClassifier,
    MSMetaBalanceClassifier,
    NeuralClassifier,
    correct_prior,
)
from metabalance.evaluation.methods import (
    DEFAULT_METHODS,
    FIXED_METHODS,
    method_names,
    resolve_method,
    with_ablations,
)
from metabalance.sampling import STRATEGIES


def build(name: str, **shared):
    return resolve_method(name).build({"max_epochs": 3, **shared}, 7)


@pytest.mark.parametrize("name", method_names())
def test_every_name_builds_a_classifier_and_describes_itself(name: str) -> None:
    method = resolve_method(name)
    assert method.info.name == name
    assert method.info.description
    classifier = method.build({"max_epochs": 3}, 7)
    if name == "ms-metabalance":
        assert (classifier.estimator.max_epochs, classifier.random_state) == (3, 7)
    elif name == "tuned":
        assert (classifier.network.max_epochs, classifier.network.random_state) == (3, 7)
    elif method.info.family != "rival":
        assert (classifier.max_epochs, classifier.random_state) == (3, 7)


def test_every_strategy_is_a_baseline() -> None:
    for strategy in STRATEGIES:
        classifier = build("naive" if strategy == "natural" else strategy)
        assert isinstance(classifier, NeuralClassifier)
        assert classifier.sampler == strategy


@pytest.mark.parametrize(
    ("name", "estimator", "own", "post_hoc"),
    [
        ("focal", NeuralClassifier, {"loss": "focal"}, None),
        ("class-weighted", NeuralClassifier, {"class_weight": "balanced"}, None),
        ("sam", NeuralClassifier, {"sam_rho": 0.05}, None),
        ("mixup", NeuralClassifier, {"mixing": "mixup"}, None),
        ("cutmix", NeuralClassifier, {"mixing": "cutmix"}, None),
        ("over-mixup", NeuralClassifier, {"mixing": "mixup", "sampler": "over"}, None),
        ("over-cutmix", NeuralClassifier, {"mixing": "cutmix", "sampler": "over"}, None),
        ("class-balanced", NeuralClassifier, {"class_weight": "effective_number"}, None),
        (
            "class-balanced-focal",
            NeuralClassifier,
            {"loss": "focal", "class_weight": "effective_number"},
            None,
        ),
        ("logit-adjusted", NeuralClassifier, {"loss": "logit_adjusted"}, None),
        (
            "ldam-drw",
            NeuralClassifier,
            {"loss": "ldam", "class_weight": "effective_number", "reweight_from": 0.8},
            None,
        ),
        (
            "meta-weight-net",
            MetaWeightNetClassifier,
            {
                "meta_sampler": "under",
                "inner_lr": 0.1,
                "weight_lr": 0.001,
                "batch_size": 64,
                "meta_batch_size": 64,
            },
            None,
        ),
        ("prior-corrected", NeuralClassifier, {}, correct_prior),
    ],
)
def test_remedies_differ_from_the_naive_network_in_what_they_are(name, estimator, own, post_hoc) -> None:
    classifier = build(name)
    found = classifier.get_params()
    assert type(classifier) is estimator
    # Only the naive network, whose probabilities are corrected where it is, predicts the most probable class.
    weighted = "effective_number" in own.values()
    decision = {} if name == "prior-corrected" else {"decision": "balanced" if weighted else "auto"}
    naive = {option: value for option, value in build("naive").get_params().items() if option in found}
    assert {**naive, **own, **decision} == found
    assert resolve_method(name).post_hoc is post_hoc


def test_the_tuned_network_starts_from_the_shared_options() -> None:
    network = build("tuned", max_epochs=3, hidden_sizes=(5,)).network
    assert isinstance(network, NeuralClassifier)
    assert (network.max_epochs, network.hidden_sizes, network.sampler) == (3, (5,), "natural")


def test_defaults_are_known_and_carry_the_ablation() -> None:
    chosen = with_ablations(tuple(resolve_method(name) for name in DEFAULT_METHODS))
    names = [method.info.name for method in chosen]
    assert names.index("no-adaptation") == names.index("metabalance") + 1
    assert set(names) - {"no-adaptation"} == set(DEFAULT_METHODS)


def test_metabalance_takes_any_pair() -> None:
    net = build("metabalance:smote/under@adapted")
    assert isinstance(net, MetaBalanceClassifier)
    assert (net.support_sampler, net.query_sampler) == ("smote", "under")
    assert (net.predict_with, net.order) == ("adapted", "exact")
    assert build("metabalance").predict_with == "auto"
    assert build("metabalance@meta").predict_with == "meta"
    assert build("first-order:natural/over").order == "first"


def test_the_ablation_differs_in_the_inner_step_only() -> None:
    chosen = with_ablations((resolve_method("metabalance:natural/under"),))
    assert [m.info.name for m in chosen] == ["metabalance:natural/under", "no-adaptation:natural/under"]
    whole, ablated = (method.build({}, 7).get_params() for method in chosen)
    assert whole.pop("inner_lr") > 0
    assert ablated.pop("inner_lr") == 0
    assert whole == ablated


def test_the_search_has_the_shared_options_and_the_ablation() -> None:
    search = build("ms-metabalance", scoring="f1", hidden_sizes=(5,))
    assert isinstance(search, MSMetaBalanceClassifier)
    assert (search.scoring, search.n_jobs, search.estimator.hidden_sizes) == ("f1", 1, (5,))
    names = [method.info.name for method in with_ablations((resolve_method("ms-metabalance"),))]
    assert names == ["ms-metabalance", "no-adaptation"]


def test_an_ablation_is_added_once() -> None:
    specs = ["metabalance", "metabalance@adapted", "first-order", "no-adaptation"]
    chosen = with_ablations(tuple(resolve_method(spec) for spec in specs))
    assert [m.info.name for m in chosen] == specs


def test_own_classifiers() -> None:
    mine = LogisticRegression()
    method = resolve_method(("mine", mine))
    built = method.build({"max_epochs": 3}, 7)
    assert isinstance(built, LogisticRegression)
    assert built is not mine
    assert built.random_state == 7
    assert resolve_method(("mine", LogisticRegression(random_state=1))).build({}, 7).random_state == 1
    assert method.info.family == "rival"
    assert resolve_method(("net", NeuralClassifier())).info.family == "network"
    assert resolve_method(("weighted", MetaWeightNetClassifier())).info.family == "network"
    assert resolve_method(("meta", MetaBalanceClassifier())).info.family == "metabalance"
    assert with_ablations((resolve_method(("metabalance", MetaBalanceClassifier())),))[1:] == ()


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("smot", ValueError, "no method 'smot'; did you mean 'smote'"),
        ("natural", ValueError, "did you mean .naive."),
        ("natural/over", ValueError, "did you mean .metabalance:natural/over."),
        ("xyz", ValueError, r"no method 'xyz'\. Methods: naive"),
        ("metabalance:natural", ValueError, "must be metabalance:SUPPORT/QUERY"),
        ("metabalance:natural/foo", ValueError, "must be metabalance:SUPPORT/QUERY"),
        ("metabalance@theta", ValueError, "there are @adapted and @meta"),
        (3, TypeError, r"a method is a name or a \(name, classifier\) pair, got 3"),
        (("mine", 3.5), TypeError, "a method is a name"),
    ],
    ids=str,
)
def test_unknown_methods(spec, error, message) -> None:
    with pytest.raises(error, match=message):
        resolve_method(spec)


def test_lightgbm_that_is_not_installed_is_named(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    with pytest.raises(ValueError, match=r"LightGBM is not installed: pip install 'metabalance\[rivals\]'"):
        FIXED_METHODS["lightgbm"].build({}, 0)


def test_lightgbm_can_be_corrected_to_a_balanced_prior() -> None:
    plain, corrected = resolve_method("lightgbm"), resolve_method("lightgbm:prior-corrected")
    assert repr(corrected.build({}, 3)) == repr(plain.build({}, 3))
    assert (plain.post_hoc, corrected.post_hoc) == (None, correct_prior)
    tuned, corrected = resolve_method("lightgbm:tuned"), resolve_method("lightgbm:tuned-prior-corrected")
    assert corrected.build is tuned.build
    assert (tuned.post_hoc, corrected.post_hoc) == (None, correct_prior)
