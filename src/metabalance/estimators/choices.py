"""Turns what a user may pass as an option (a name, a class, an object) into what training needs."""

import copy
import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from metabalance.estimators.calibration import refinement
from metabalance.estimators.layout import TableLayout
from metabalance.nn import (
    CrossEntropy,
    FocalLoss,
    LogitAdjustedCrossEntropy,
    LossFunction,
    MemberLoss,
    ResNet,
    RowLoss,
    TableNetwork,
    class_logits,
    effective_number_weights,
)
from metabalance.training import Holdouts

OPTIMIZERS: Mapping[str, tuple[type[torch.optim.Optimizer], Mapping[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {}),
    "adam": (torch.optim.Adam, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}
IMPLEMENTATIONS = frozenset({"fused", "foreach", "differentiable"})
# name → the loss for (class weights or None, rows of each class in the training part, label smoothing)
LOSSES: Mapping[str, Callable[[Tensor | None, Tensor, float], nn.Module]] = {
    "cross_entropy": lambda weight, counts, smoothing: CrossEntropy(weight, smoothing),
    "focal": lambda weight, counts, smoothing: FocalLoss(gamma=2.0, weight=weight),
    "logit_adjusted": lambda weight, counts, smoothing: LogitAdjustedCrossEntropy(
        counts, weight=weight, label_smoothing=smoothing
    ),
}
SMOOTHED_LOSSES = ("cross_entropy", "logit_adjusted")
# The default network of images: narrow and shallow, for CPUs.
IMAGE_WIDTH = 8
IMAGE_BLOCKS = (1, 1, 1)
MOST_CHANNELS = 4
SCHEDULES = ("constant", "cosine")


def choose_optimizer(
    optimizer: Any, options: Mapping[str, Any], module: nn.Module
) -> tuple[type, dict[str, Any]]:
    """Return the optimizer class and its keyword arguments, skorch-style names already stripped.

    Those chosen by name run torch's fused kernels where these can step the module, unless the options say
    which implementation to use: on a small network a step then takes a third of the time.
    """
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer must be one of {', '.join(OPTIMIZERS)} or a torch.optim class, got {optimizer!r}"
            )
        chosen, defaults = OPTIMIZERS[optimizer]
        if not IMPLEMENTATIONS & options.keys() and _can_be_fused(module):
            defaults = {**defaults, "fused": True}
        return chosen, {**defaults, **options}
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
        options = dict(options)
        if not _takes(optimizer, "weight_decay") and (decay := options.pop("weight_decay", 0)):
            raise ValueError(
                f"{optimizer.__name__} has no weight decay, but weight_decay is {decay!r}: set weight_decay=0"
            )
        return optimizer, options
    raise TypeError(
        f"optimizer must be a name or a subclass of torch.optim.Optimizer, got {optimizer!r}: pass the "
        "class, and its arguments as optimizer__… parameters"
    )


def _takes(function: Any, name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _can_be_fused(module: nn.Module) -> bool:
    """Whether the fused kernels take all parameters, will meet dense gradients only, and are the faster ones.

    On the CPU they share even a handful of numbers out among all threads, which costs more than it saves.
    """
    devices = {"cuda", "cpu"} if torch.get_num_threads() == 1 else {"cuda"}
    embeddings = (part for part in module.modules() if isinstance(part, nn.Embedding | nn.EmbeddingBag))
    return not any(embedding.sparse for embedding in embeddings) and all(
        parameter.is_floating_point() and parameter.is_contiguous() and parameter.device.type in devices
        for parameter in module.parameters()
    )


def choose_loss(
    loss: Any,
    class_weight: Any,
    classes: NDArray[Any],
    codes: NDArray[np.int64],
    device: torch.device,
    label_smoothing: float = 0.0,
) -> LossFunction:
    """Return loss(logits, target), which takes class logits and class codes.

    Class weights and frequencies are those of ``codes``, the training part.
    """
    if isinstance(loss, type):
        raise TypeError(f"loss must be a function or a loss object, got the class {loss.__name__}: make one")
    if callable(loss):
        if class_weight is not None:
            raise ValueError(
                f"class_weight={class_weight!r} goes with a named loss ({', '.join(LOSSES)}); "
                "give the weights to your own loss function instead"
            )
        chosen: LossFunction = loss
    elif isinstance(loss, str) and loss in LOSSES:
        weight = None
        if class_weight is not None:
            weights = _class_weights(class_weight, classes, codes)
            if not (np.isfinite(weights).all() and (weights >= 0).all() and weights[codes].any()):
                raise ValueError(f"class_weight must be finite, at least 0 and not all 0: {class_weight!r}")
            # Scaled to average 1 over the rows: only their ratios matter, and lr keeps its meaning.
            weights = weights / weights[codes].mean()
            weight = torch.as_tensor(weights, dtype=torch.float32, device=device)
        counts = np.bincount(codes, minlength=len(classes))
        frequencies = torch.as_tensor(counts, dtype=torch.float32, device=device)
        chosen = LOSSES[loss](weight, frequencies, label_smoothing)
    else:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} or a function, got {loss!r}")
    return chosen


def check_label_smoothing(loss: Any, label_smoothing: float) -> None:
    """Raise ValueError if labels are to be smoothed for a loss that cannot."""
    if label_smoothing and (callable(loss) or loss == "focal"):
        raise ValueError(
            f"label_smoothing={label_smoothing!r} goes with loss={' or '.join(map(repr, SMOOTHED_LOSSES))}, "
            f"got loss={loss!r}: use 0"
        )


def count_members(module: nn.Module) -> int:
    """Members of an ensemble, whose output has one logit or K for each; 1 for any other network."""
    return module.n_members if isinstance(module, TableNetwork) else 1


def loss_on_outputs(chosen: LossFunction, module: nn.Module, holdouts: Holdouts | None) -> LossFunction:
    """Return loss(output, target) for what the module puts out, from a loss on class logits.

    The loss of an ensemble is summed over its members, each on the rows that it does not hold out.
    """
    members = count_members(module)
    if not isinstance(module, TableNetwork):
        return lambda output, target: chosen(class_logits(output), target)
    if isinstance(chosen, RowLoss):
        device = next(module.parameters()).device
        return MemberLoss(chosen, None if holdouts is None else holdouts.weights().to(device))

    def summed(output: Tensor, target: Tensor) -> Tensor:
        logits = class_logits(output)
        return members * chosen(logits.flatten(0, 1), target.repeat_interleave(members))

    return summed


def _class_weights(class_weight: Any, classes: NDArray[Any], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight of each class, from a name, scikit-learn's or ours, or from a dict by label."""
    by_name = isinstance(class_weight, str)
    if by_name and class_weight == "effective_number":
        return effective_number_weights(np.bincount(codes, minlength=len(classes)))
    if (by_name and class_weight != "balanced") or not isinstance(class_weight, str | dict):
        raise (ValueError if by_name else TypeError)(
            "class_weight must be 'balanced', 'effective_number', a dict of label to weight or None, got "
            f"{class_weight!r}"
        )
    try:
        weights: NDArray[np.float64] = compute_class_weight(class_weight, classes=classes, y=classes[codes])
    except (TypeError, ValueError) as error:
        raise ValueError(f"class_weight={class_weight!r} cannot be used: {error}") from error
    return weights


def calibration_prior(
    calibration: str, class_weight: Any, classes: NDArray[Any], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Class frequencies that probabilities are calibrated to; weights of the user's own count in "auto".

    With class weights, "auto" is what the weighted loss aims at: the frequencies times the weights, which is
    equal ones for "balanced" weights.
    """
    counts = np.bincount(codes, minlength=len(classes)).astype(float)
    if calibration == "training":
        return counts
    if calibration == "auto" and class_weight is not None:
        return counts * _class_weights(class_weight, classes, codes)
    return np.ones(len(classes))


def choose_module(
    module: Any,
    options: Mapping[str, Any],
    *,
    example: Tensor,
    n_classes: int,
    layout: TableLayout | None,
    n_members: int,
    hidden_sizes: Any,
    dropout: Any,
) -> nn.Module:
    """Return a network of its own for one fit, checked on two example rows.

    A class is built with the ``module__…`` options; arguments called ``n_inputs`` and ``n_outputs`` are
    filled in where its signature has them. An instance is copied, so that a fit never changes what the user
    passed.
    """
    n_outputs = 1 if n_classes == 2 else n_classes
    built: nn.Module
    if module is None:
        if options:
            raise ValueError(
                f"module__{next(iter(options))} was given without module=; the default network takes "
                "hidden_sizes and dropout"
            )
        if example.ndim == 4:
            built = _image_network(example, n_outputs)
        elif example.ndim == 2:
            built = TableNetwork(
                example.shape[1],
                n_outputs,
                n_members=n_members,
                hidden_sizes=hidden_sizes,
                dropout=dropout,
                **({} if layout is None else layout.options()),
            )
        else:
            raise ValueError(
                "the default networks take tables of shape (n, features) and images of shape (n, channels, "
                f"height, width), got X of shape (n, {', '.join(map(str, example.shape[1:]))}): pass module= "
                "for such data, or flatten it"
            )
    elif isinstance(module, nn.Module):
        if options:
            raise ValueError(
                f"module__{next(iter(options))} was given with a ready-made module: pass the module's class"
            )
        built = copy.deepcopy(module)
    elif isinstance(module, type) and issubclass(module, nn.Module):
        sizes = {"n_inputs": example.shape[1], "n_outputs": n_outputs}
        wanted = inspect.signature(module).parameters
        filled_in = {name: size for name, size in sizes.items() if name in wanted}
        built = module(**{**filled_in, **options})
    else:
        raise TypeError(f"module must be a torch.nn.Module class or instance, got {module!r}")
    _check_output(built.to(example.device), example, n_classes)
    return built


def _image_network(example: Tensor, n_outputs: int) -> ResNet:
    channels, _, last = example.shape[1:]
    if channels > MOST_CHANNELS and last <= MOST_CHANNELS:
        raise ValueError(
            f"X of shape (n, {', '.join(map(str, example.shape[1:]))}) seems to have its channels last: they "
            "come first, X.transpose(0, 3, 1, 2)"
        )
    return ResNet(n_outputs, width=IMAGE_WIDTH, blocks=IMAGE_BLOCKS, in_channels=channels)


def _check_output(module: nn.Module, example: Tensor, n_classes: int) -> None:
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = module(example)
    except RuntimeError as error:
        raise ValueError(
            f"the module cannot take its input, float32 of shape {tuple(example.shape)} (two encoded rows): "
            f"{str(error).splitlines()[0]}"
        ) from error
    module.train(was_training)
    n_rows = len(example)
    if isinstance(module, TableNetwork):
        output = output[:, 0]
    allowed = [(n_rows, n_classes)] + ([(n_rows, 1), (n_rows,)] if n_classes == 2 else [])
    if not isinstance(output, Tensor) or tuple(output.shape) not in allowed:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"the module must return logits of shape (batch, {n_classes})"
            f"{' or (batch, 1)' if n_classes == 2 else ''} for {n_classes} classes, got {found} for a batch "
            f"of {n_rows}"
        )


def check_scoring(scoring: Any) -> None:
    """Raise unless scoring is None, a function or the name of a scikit-learn scorer."""
    if scoring is None or callable(scoring):
        return
    names = get_scorer_names()
    if scoring not in names:
        close = difflib.get_close_matches(str(scoring), names, n=1, cutoff=0.3)
        raise ValueError(
            f"scoring={scoring!r} is no scikit-learn scorer{f'; did you mean {close[0]!r}?' if close else ''}"
        )


def ranking_scorer(n_classes: int) -> str:
    """Name of the scorer that is ROC-AUC, one-vs-rest for many classes."""
    return "roc_auc" if n_classes == 2 else "roc_auc_ovr"


def choose_score(
    scoring: Any, classes: NDArray[Any], counts: NDArray[np.int64]
) -> Callable[[NDArray[np.float64], Any], float]:
    """Return score(probabilities, codes) from a scikit-learn scorer, its name, or None for refinement.

    ROC-AUC of two classes is computed here: on small data scikit-learn's checks would cost a tenth of the
    fit. A scorer given by name sees codes instead of labels, with 1 for the rarer of two classes: names like
    "average_precision" or "f1" then are about the rare class, whatever the labels. A scorer object sees the
    user's own labels.
    """
    if scoring is None:
        return refinement
    if scoring == "roc_auc" and len(classes) == 2:
        return roc_auc
    if scoring == "roc_auc":
        raise ValueError(f"scoring='roc_auc' is for two classes, got {len(classes)}: use 'roc_auc_ovr'")
    scorer = get_scorer(scoring)
    by_name = isinstance(scoring, str)
    labels = np.arange(len(classes)) if by_name else classes
    swapped = by_name and len(classes) == 2 and counts[1] > counts[0]

    def score(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
        if swapped:
            probabilities, codes = probabilities[:, ::-1], 1 - codes
        value = float(scorer(_FixedPredictions(probabilities, labels), codes, labels[codes]))
        if not math.isfinite(value):
            raise ValueError(
                f"scoring={scoring!r} gave {value} on the held-out rows: scores must be finite, use another "
                "scorer"
            )
        return value

    if by_name:
        try:  # now rather than after the first epoch
            score(np.eye(len(classes)), np.arange(len(classes)))
        except ValueError as error:
            raise ValueError(f"scoring={scoring!r} cannot score {len(classes)} classes: {error}") from error
    return score


def roc_auc(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Chance that a row of class 1 gets more probability of it than one of class 0; ties count half.

    Parameters
    ----------
    probabilities : array of float, shape (n, 2)
    codes : array of int in {0, 1}, shape (n,)

    Raises
    ------
    ValueError
        If a class does not occur.
    """
    positive = codes == 1
    n_positive = int(positive.sum())
    n_negative = len(codes) - n_positive
    if not n_positive or not n_negative:
        raise ValueError(
            f"ROC-AUC needs rows of both classes, got {n_negative} of one and {n_positive} of the other: "
            "give more rows, or another scoring"
        )
    rank_sum = rankdata(probabilities[:, 1])[positive].sum()
    # A rank counts rows of both classes below; those of its own are taken off (Mann and Whitney 1947).
    pairs_won = rank_sum - n_positive * (n_positive + 1) / 2
    return float(pairs_won / (n_positive * n_negative))


class _FixedPredictions(ClassifierMixin, BaseEstimator):
    """A fitted classifier, to a scorer, whose probabilities are known beforehand."""

    def __init__(self, probabilities: Any, classes: Any) -> None:
        self.probabilities = probabilities
        self.classes = classes
        self.classes_ = classes

    def predict_proba(self, X: Any) -> Any:
        return self.probabilities

    def predict(self, X: Any) -> Any:
        return self.classes_[self.probabilities.argmax(axis=1)]
