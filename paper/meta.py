"""MetaBalance of one run, by Algorithm 1: the update is the library's, the loop is written out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from metabalance import MetaBatchStream, MetaGradient
from metabalance.meta import adapt
from metabalance.nn import MLP, LossFunction
from metabalance.training import seeded
from paper.curves import Curve, ends_of_epochs
from paper.plain import optimizer_for, record
from paper.pools import sampler_for
from paper.protocols import Split


def train_meta(
    split: Split,
    seed: int,
    recipe: Mapping[str, Any],
    network: Mapping[str, Any],
    loss_fn: LossFunction,
    *,
    score_with_dropout: bool,
    pools: Path,
) -> dict[str, Curve]:
    """Train one network and score it after each epoch, at θ ("meta") and at θ′ ("adapted").

    An epoch is one pass of the query stream.
    """
    train = split.train
    y = torch.from_numpy(train.y)
    stream = MetaBatchStream(
        train.x,
        train.y,
        support=sampler_for(recipe["support"], pools),
        query=sampler_for(recipe["query"], pools),
        meta_steps=recipe["meta_steps"],
        support_batch_size=recipe["support_batch_size"],
        query_batch_size=recipe["query_batch_size"],
        random_state=seed,
    )
    rows = recipe["meta_steps"] * recipe["query_batch_size"]
    ends = ends_of_epochs(recipe["epochs"], stream.query.pass_size, rows)
    with seeded(seed):
        module = MLP(train.x.shape[1], 1, **network)
        meta = MetaGradient(
            module,
            loss_fn,
            inner_lr=recipe["inner_lr"],
            beta=recipe["beta"],
            order=recipe["order"],
            engine=recipe["engine"],
        )
        optimizer = optimizer_for(list(module.parameters()), recipe)
        curves = {"meta": Curve(), "adapted": Curve()}
        for update in range(1, ends[-1] + 1):
            module.train()
            meta.backward(*stream.draw())
            optimizer.step()
            optimizer.zero_grad()
            if update == ends[len(curves["meta"].test)]:
                adapted = adapt(module, loss_fn, (train.x, y), recipe["inner_lr"], chunk_size=8192)
                module.train(score_with_dropout)
                record(curves["meta"], module, dict(module.named_parameters()), split)
                record(curves["adapted"], module, adapted, split)
    return curves
