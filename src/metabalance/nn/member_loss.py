"""The loss of members that are trained side by side, each on its own part of the rows."""

from torch import Tensor, nn

from metabalance.nn.losses import RowLoss, class_logits


class MemberLoss(nn.Module):
    r"""Sum over the members of an ensemble of the mean loss over the rows that each is trained on.

    A sum, so that every member gets the gradient, and takes the inner step, that it would alone.

    Parameters
    ----------
    loss : RowLoss
    weights : Tensor of shape (groups, members), optional
        What a row of a group counts for each member: 0 where the member holds it out, and elsewhere the
        inverse of the share of the rows that it does not. Targets then have two columns, class code and
        group. When absent, every member is trained on every row, and targets are codes.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import CrossEntropy, MemberLoss
    >>> loss = MemberLoss(CrossEntropy(), weights=torch.tensor([[0.0, 2.0], [2.0, 0.0]]))
    >>> logits = torch.tensor([[[9.0], [0.0]], [[0.0], [9.0]]])  # each member is sure of the row it holds out
    >>> round(loss(logits, torch.tensor([[0, 0], [0, 1]])).item(), 4)  # 2 · log 2
    1.3863
    """

    weights: Tensor | None

    def __init__(self, loss: RowLoss, weights: Tensor | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("weights", weights)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of output (batch, members, K or 1) and targets (batch,) or (batch, 2)."""
        logits = class_logits(output)
        codes = target if self.weights is None else target[..., 0]
        losses = self.loss.rows(logits, codes.unsqueeze(-1).expand(logits.shape[:-1]))
        if self.weights is not None:
            losses = losses * self.weights[target[..., 1]]
        return losses.sum(-1).mean()
