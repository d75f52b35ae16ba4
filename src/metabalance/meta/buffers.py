"""What the running statistics and other buffers do during the support and query passes.

In training mode a BatchNorm layer normalises by its batch whatever the policy; the policy only says which of
the two passes may move its running statistics.
"""

from torch import Tensor, no_grad

BUFFER_POLICIES: dict[str, frozenset[str]] = {
    "both": frozenset({"support", "query"}),
    "support": frozenset({"support"}),
    "query": frozenset({"query"}),
    "frozen": frozenset(),
}
"""Policy name → the passes whose writes to buffers are kept."""


def unlike(buffers: dict[str, Tensor], others: dict[str, Tensor]) -> list[str]:
    """Names of the buffers whose shape or values differ."""
    names = []
    for name, buffer in buffers.items():
        other = others[name]
        if buffer is not other and (buffer.shape != other.shape or not buffer.equal(other)):
            names.append(name)
    return names


def store_buffers(own: dict[str, Tensor], buffers: dict[str, Tensor]) -> None:
    """Copy ``buffers`` into a model's own; those that did not change are not written to."""
    changed = unlike(own, buffers)
    for name in changed:
        if own[name].shape != buffers[name].shape:
            raise ValueError(
                f"buffer {name!r} changed its shape from {tuple(own[name].shape)} to "
                f"{tuple(buffers[name].shape)} in the forward pass: give it its final shape beforehand, "
                "or use buffers='frozen'"
            )
    with no_grad():
        for name in changed:
            own[name].copy_(buffers[name])
