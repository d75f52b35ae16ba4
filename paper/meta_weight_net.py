"""Meta-Weight-Net of one run: the rule is the library's, the loop is written out."""

from collections.abc import Mapping
from typing import Any

from metabalance import MetaBatchStream
from metabalance.nn import MLP, LossFunction
from metabalance.training import MetaWeightNet, seeded
from paper.curves import Curve, ends_of_epochs
from paper.plain import optimizer_for, record
from paper.protocols import Split


def train_meta_weight_net(
    split: Split,
    seed: int,
    recipe: Mapping[str, Any],
    network: Mapping[str, Any],
    loss_fn: LossFunction,
    *,
    score_with_dropout: bool,
) -> Curve:
    """Train one network and score it after each epoch, one pass of the training rows."""
    train = split.train
    ends = ends_of_epochs(recipe["epochs"], len(train.y), recipe["batch_size"])
    stream = MetaBatchStream(
        train.x,
        train.y,
        support="natural",
        query="under",
        meta_steps=1,
        support_batch_size=recipe["batch_size"],
        query_batch_size=recipe["batch_size"],
        random_state=seed,
    )
    curve = Curve()
    with seeded(seed):
        module = MLP(train.x.shape[1], 1, **network)
        rule = MetaWeightNet(
            module, loss_fn, stream, inner_lr=recipe["inner_lr"], weight_lr=recipe["weight_lr"]
        )
        optimizer = optimizer_for(list(module.parameters()), recipe)
        for step in range(1, ends[-1] + 1):
            module.train()
            optimizer.zero_grad()
            rule.backward(rule.draw())
            optimizer.step()
            if step == ends[len(curve.test)]:
                module.train(score_with_dropout)
                record(curve, module, dict(module.named_parameters()), split)
    return curve
