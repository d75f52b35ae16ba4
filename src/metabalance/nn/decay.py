"""Which parameters weight decay is for."""

from typing import Any

from torch import nn

from metabalance.nn.checks import checked_number

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def undecayed(module: nn.Module) -> set[int]:
    """Ids of the parameters that are biases or belong to a normalisation layer."""
    return {
        id(parameter)
        for part in module.modules()
        for name, parameter in part.named_parameters(recurse=False)
        if isinstance(part, NORMS) or name.endswith("bias")
    }


def weight_decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer, with weight decay for all but biases and normalisation layers.

    Decay would only shift or shrink those. Parameters that are not trained are left out.

    Parameters
    ----------
    module : torch.nn.Module
    weight_decay : float
        At least 0.

    Returns
    -------
    list of dict
        The first argument of any optimizer of torch.

    Raises
    ------
    ValueError, TypeError
        If weight_decay is no number of at least 0, or module is no module with a parameter to train.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import ResNet, weight_decay_groups
    >>> groups = weight_decay_groups(ResNet(10, width=8), 5e-4)
    >>> [group["weight_decay"] for group in groups]
    [0.0005, 0.0]
    >>> optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, whose layers are looked at, got {module!r:.80}")
    weight_decay = checked_number("weight_decay", weight_decay)
    free = undecayed(module)
    trained = [each for each in module.parameters() if each.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [each for each in trained if id(each) not in free], "weight_decay": weight_decay},
        {"params": [each for each in trained if id(each) in free], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError(f"{type(module).__name__} has no parameter to train: call requires_grad_")
    return groups
