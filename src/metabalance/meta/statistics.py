"""Statistics of BatchNorm for predictions: taken anew, at the parameters that predict."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from metabalance.meta.checks import Batch
from metabalance.meta.functional import aliases_of, call_at, copied, with_aliases

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def tracked_norms(model: nn.Module) -> list[nn.modules.batchnorm._NormBase]:
    """The layers that normalise by their batch in training, and by running statistics in predictions.

    Layers that stay in evaluation mode when the model is told to train, as a model's own ``train`` may have
    it for pretrained ones, are not among them.
    """
    with _modes_kept(model):
        model.train()
        return [
            part
            for part in model.modules()
            if isinstance(part, nn.modules.batchnorm._BatchNorm)
            and part.running_mean is not None
            and part.training
        ]


def statistics_names(model: nn.Module) -> list[str]:
    """The names of their running means, variances and numbers of batches."""
    norms = tracked_norms(model)
    names = [name for name, part in model.named_modules() if any(part is norm for norm in norms)]
    aliases = aliases_of(model)  # of statistics that several layers share
    found = (f"{name}.{kind}" if name else kind for name in names for kind in STATISTICS)
    return list(dict.fromkeys(aliases.get(name, name) for name in found))


def batch_statistics(
    model: nn.Module, batches: Iterable[Batch], parameters: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Statistics of the model's BatchNorm layers, averaged over batches at fixed parameters.

    What training leaves as running statistics is a moving mean over the last few batches: of support and
    query batches alike, at parameters that have moved since. Predictions at θ' need those of θ', which no
    running mean has; and small batches make the mean over the last few a noisy one. This takes the mean over
    all given batches, as :func:`torch.optim.swa_utils.update_bn` does for averaged weights. The model is
    left as it is.

    Parameters
    ----------
    model : torch.nn.Module
    batches : iterable of Tensor of shape (batch, …), or of tuples or dicts of them
        Inputs, such as those of query batches: of the size and the class frequencies that the layers saw in
        training.
    parameters : mapping of str to Tensor, optional
        Parameters by name in place of the model's own, such as those of `adapt`.

    Returns
    -------
    dict of str to Tensor
        ``running_mean``, ``running_var`` and ``num_batches_tracked`` of each BatchNorm layer, by name: for
        ``model.load_state_dict(…, strict=False)``, or for :func:`torch.func.functional_call` together with
        the parameters. Empty for a model without such layers.

    Raises
    ------
    TypeError
        If the model is no module.
    ValueError
        If there are no batches.

    Examples
    --------
    >>> import torch
    >>> from metabalance.meta import batch_statistics
    >>> model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1))
    >>> batches = [torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.tensor([[4.0, 1.0], [6.0, 1.0]])]
    >>> batch_statistics(model, batches)["0.running_mean"]
    tensor([3., 1.])
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not tracked_norms(model):
        return {}
    buffers = copied(dict(model.named_buffers()))
    aliases = aliases_of(model)
    own = statistics_names(model)
    for name in own:
        buffers[name].fill_(1 if name.endswith("running_var") else 0)
    seen = False
    with torch.no_grad(), normalising_by_batch(model, momentum=None):
        for inputs in batches:
            state = with_aliases({**(parameters or {}), **buffers}, aliases)
            args = inputs if isinstance(inputs, tuple) else () if isinstance(inputs, dict) else (inputs,)
            call_at(model, state, args, inputs if isinstance(inputs, dict) else None)
            buffers = {name: state[name] for name in buffers}
            seen = True
    if not seen:
        raise ValueError("batches is empty: statistics need at least one batch")
    return {name: buffers[name] for name in own}


@contextlib.contextmanager
def normalising_by_batch(model: nn.Module, **attributes: float | None) -> Iterator[None]:
    """For a while, BatchNorm looks at its batch as in training, and every other part is in evaluation mode.

    Further attributes, such as ``momentum``, are set on the BatchNorm layers for as long.
    """
    norms = tracked_norms(model)
    before = [{name: getattr(norm, name) for name in attributes} for norm in norms]
    with _modes_kept(model):
        model.eval()
        try:
            for norm in norms:
                norm.training = True
                vars(norm).update(attributes)
            yield
        finally:
            for norm, values in zip(norms, before, strict=True):
                vars(norm).update(values)


@contextlib.contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    """Put every part back into the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
