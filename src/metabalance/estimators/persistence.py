"""Saved models: an estimator as a description and tensors, and back."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metabalance.encoding.tables import encoder_from_state
from metabalance.estimators.layout import TableLayout
from metabalance.estimators.model_files import (
    DESCRIPTION_FILE,
    read_description,
    read_weights,
    write_model_files,
)
from metabalance.estimators.outputs import Output, outputs_in_words
from metabalance.estimators.parameter_files import restore_parameters, split_saveable
from metabalance.estimators.parameters import check_number
from metabalance.meta.statistics import statistics_names
from metabalance.training import resolve_device, seeded

MODULE_PREFIX = "module."
ADAPTED_PREFIX = "adapted."
# What reading a description raises where somebody has changed it by hand.
DAMAGE = (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError)


def save_model(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a folder, which is made if it does not exist."""
    _check_unchanged(estimator)
    parameters, not_saved = split_saveable(estimator.get_params(deep=False))
    description = {
        "estimator": type(estimator).__name__,
        "parameters": parameters,
        "parameters_not_saved": not_saved,
        "own_module": None if estimator.module is None else type(estimator.module_).__qualname__,
        "adapted": estimator.adapted_parameters_ is not None,
        "classes": {"dtype": estimator.classes_.dtype.str, "values": estimator.classes_.tolist()},
        "encoder": estimator.encoder_.to_state(),
        "cosine_scale": estimator.cosine_scale_,
        "layout": None if estimator.layout_ is None else estimator.layout_.to_state(),
        "calibrations": {
            name: None if each is None else each.to_state() for name, each in estimator.calibrations_.items()
        },
        "input_shape": list(estimator.input_shape_),
        "history": estimator.history_,
        "rows_drawn": estimator.rows_drawn_,
        "interrupted": estimator.interrupted_,
    }
    adapted = estimator.adapted_parameters_ or {}
    tensors = {MODULE_PREFIX + name: tensor for name, tensor in estimator.module_.state_dict().items()}
    tensors |= {ADAPTED_PREFIX + name: tensor for name, tensor in adapted.items()}
    write_model_files(Path(path), description, tensors)


def _check_unchanged(estimator: Any) -> None:
    """Raise ValueError if the parameters no longer describe the network: it could not be loaded."""
    estimator.check_parameters()
    now = outputs_in_words(estimator)
    changed = [name for name, value in estimator.outputs_fitted_.items() if now[name] != value]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} changed since the fit, which predictions do not follow: set it back, or "
            "fit again"
        )
    if estimator.module is not None:
        return
    with seeded(0):
        example = torch.zeros(2, *estimator.input_shape_)
        described = estimator.build_module(
            example, len(estimator.classes_), estimator.layout_, estimator.cosine_scale_
        )
    shapes = [
        {name: tensor.shape for name, tensor in module.state_dict().items()}
        for module in (described, estimator.module_)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "n_members, hidden_sizes or another parameter of the network has changed since the fit: set it "
            "back, or fit again"
        )


def load_model(
    known: dict[str, type], path: str | os.PathLike[str], module: Any = None, device: Any = "auto"
) -> Any:
    """Return the fitted estimator saved in a folder; ``known`` maps the names of estimators to classes."""
    folder = Path(path)
    description = read_description(folder)
    if description.get("estimator") not in known:
        raise ValueError(
            f"the model in {str(folder)!r} is a {description.get('estimator')}, not a {' or '.join(known)}"
        )
    try:
        parameters = restore_parameters(description["parameters"])
        not_saved = dict(description["parameters_not_saved"])
        own_module = description["own_module"]
        classes = _restore_classes(description["classes"])
        encoder = encoder_from_state(description["encoder"])
        cosine_scale = description["cosine_scale"]
        if cosine_scale is not None:
            check_number("cosine_scale", cosine_scale, above=0)
        saved_layout = description["layout"]
        layout = None if saved_layout is None else TableLayout.from_state(saved_layout)
        calibrations = {
            name: None if state is None else Output.from_state(state)
            for name, state in description["calibrations"].items()
        }
        input_shape = tuple(description["input_shape"])
        fitted = {name: description[name] for name in ("history", "rows_drawn", "interrupted")}
        has_adapted = bool(description["adapted"])
    except DAMAGE as error:
        raise ValueError(
            f"{str(folder / DESCRIPTION_FILE)!r} is damaged: {error!r} is missing or malformed"
        ) from error
    if len(classes) < 2 or len(np.unique(classes)) < len(classes):
        raise ValueError(f"{str(folder / DESCRIPTION_FILE)!r} is damaged: its classes are {classes.tolist()}")
    if int(np.prod(input_shape)) != encoder.n_outputs_:
        raise ValueError(
            f"{str(folder / DESCRIPTION_FILE)!r} is damaged: its encoder gives {encoder.n_outputs_} values a "
            f"row for an input of shape {input_shape}"
        )
    for each in calibrations.values():
        if each is not None and not each.suits(len(classes)):
            raise ValueError(f"{str(folder / DESCRIPTION_FILE)!r} is damaged: its calibration is {each}")
    if set(calibrations) != ({"meta", "adapted"} if has_adapted else {"meta"}):
        raise ValueError(
            f"{str(folder / DESCRIPTION_FILE)!r} is damaged: it has calibrations of {sorted(calibrations)}"
        )
    if (module is None) != (own_module is None):
        raise ValueError(
            f"the model in {str(folder)!r} has a network of its own, {own_module}: pass load(path, "
            "module=...) with that class (loading never imports code by itself)"
            if module is None
            else f"the model in {str(folder)!r} has the default network: load it without module="
        )
    estimator = known[description["estimator"]](**{**parameters, "module": module})
    not_saved.pop("module", None)  # which is given
    if not_saved:
        warnings.warn(
            f"the model in {str(folder)!r} was fitted with parameters that are objects and not saved: "
            f"{', '.join(f'{name}={value:.60}' for name, value in not_saved.items())}; it predicts without "
            "them, but set them before you fit it again",
            UserWarning,
            stacklevel=3,
        )
    else:  # or else some may not go with the defaults in the place of these
        try:
            estimator.check_parameters()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(folder / DESCRIPTION_FILE)!r} is damaged: {error}") from error
    resolved = resolve_device(device)
    example = torch.zeros((2, *input_shape), device=resolved)
    weights = read_weights(folder, description, resolved)
    try:
        with seeded(0):
            estimator.module_ = estimator.build_module(example, len(classes), layout, cosine_scale).eval()
    except (RuntimeError, MemoryError, OverflowError, TypeError) as error:
        if module is not None:  # of the user's own, whose errors are worth more than ours
            raise
        reason = str(error).partition("\n")[0]  # such as sizes that no memory holds
        raise ValueError(
            f"{str(folder / DESCRIPTION_FILE)!r} describes a network that cannot be built: {reason}"
        ) from error
    estimator.layout_ = layout
    estimator.cosine_scale_ = cosine_scale
    try:
        estimator.module_.load_state_dict(_with_prefix(weights, MODULE_PREFIX))
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {str(folder)!r} do not fit the network that {DESCRIPTION_FILE} describes"
        ) from error
    adapted = _with_prefix(weights, ADAPTED_PREFIX)
    wanted = {n for n, p in estimator.module_.named_parameters() if p.requires_grad}
    wanted |= set(statistics_names(estimator.module_))
    if has_adapted != bool(adapted) or (adapted and set(adapted) != wanted):
        raise ValueError(
            f"the weights in {str(folder)!r} do not hold the adapted parameters it was saved with"
        )
    if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
        raise ValueError(f"the weights in {str(folder)!r} hold NaN or infinity: the file is damaged")
    estimator.adapted_parameters_ = adapted or None
    estimator.calibrations_ = calibrations
    estimator.outputs_fitted_ = outputs_in_words(estimator)
    estimator.set_fitted_input(encoder, classes, input_shape, resolved)
    for name, value in fitted.items():
        setattr(estimator, name + "_", value)
    return estimator


def _restore_classes(saved: dict[str, Any]) -> NDArray[Any]:
    return np.asarray(saved["values"], dtype=np.dtype(saved["dtype"]))


def _with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
