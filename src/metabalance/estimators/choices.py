"""Turns what a user may pass as an option (a name, a class, an object) into what training needs."""

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.estimators.layout import TableLayout
from metabalance.nn import (
    ResNet,
    TableNetwork,
)

OPTIMIZERS: Mapping[str, tuple[type[torch.optim.Optimizer], Mapping[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {}),
    "adam": (torch.optim.Adam, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}
IMPLEMENTATIONS = frozenset({"fused", "foreach", "differentiable"})
# The default network of images: narrow and shallow, for CPUs.
IMAGE_WIDTH = 8
IMAGE_BLOCKS = (1, 1, 1)
MOST_CHANNELS = 4


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
    cosine_scale: float | None,
) -> nn.Module:
    """Return a network of its own for one fit, checked on two example rows.

    A class is built with the ``module__…`` options; arguments called ``n_inputs`` and ``n_outputs`` are
    filled in where its signature has them. An instance is copied, so that a fit never changes what the user
    passed. With a ``cosine_scale`` the default networks end in scaled cosines, one for each class.
    """
    n_outputs = 1 if n_classes == 2 and cosine_scale is None else n_classes
    built: nn.Module
    if module is None:
        if options:
            raise ValueError(
                f"module__{next(iter(options))} was given without module=; the default network takes "
                "hidden_sizes and dropout"
            )
        if example.ndim == 4:
            built = _image_network(example, n_outputs, cosine_scale)
        elif example.ndim == 2:
            built = TableNetwork(
                example.shape[1],
                n_outputs,
                n_members=n_members,
                hidden_sizes=hidden_sizes,
                dropout=dropout,
                cosine_scale=cosine_scale,
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
    _check_output(built.to(example.device), example, n_classes, one_logit=cosine_scale is None)
    return built


def _image_network(example: Tensor, n_outputs: int, cosine_scale: float | None) -> ResNet:
    channels, _, last = example.shape[1:]
    if channels > MOST_CHANNELS and last <= MOST_CHANNELS:
        raise ValueError(
            f"X of shape (n, {', '.join(map(str, example.shape[1:]))}) seems to have its channels last: they "
            "come first, X.transpose(0, 3, 1, 2)"
        )
    return ResNet(
        n_outputs,
        width=IMAGE_WIDTH,
        blocks=IMAGE_BLOCKS,
        in_channels=channels,
        cosine_scale=cosine_scale,
    )


def _check_output(module: nn.Module, example: Tensor, n_classes: int, one_logit: bool) -> None:
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
    allowed = [(n_rows, n_classes)] + ([(n_rows, 1), (n_rows,)] if n_classes == 2 and one_logit else [])
    or_one = " or (batch, 1)" if n_classes == 2 and one_logit else ""
    if not isinstance(output, Tensor) or tuple(output.shape) not in allowed:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"the module must return logits of shape (batch, {n_classes}){or_one} for {n_classes} classes, "
            f"got {found} for a batch of {n_rows}"
        )
