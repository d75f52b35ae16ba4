"""What a fit works on where the rows are in a store."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from metabalance.estimators.prepared import Prepared
from metabalance.large.table import LargeTable
from metabalance.large.writing import open_store
from metabalance.sampling import chooses_rows
from metabalance.sampling.stored import check_budget
from metabalance.sampling.strategies import resolve_strategy
from metabalance.training import StoredPart
from metabalance.training.data import check_two_rows_each

MOST_HELD_OUT = 2**17  # rows, scored after every epoch of 32,768 drawn ones
FEWEST_HELD_OUT = 128  # rows of a class, where its share has them


def prepare_large(
    large: LargeTable,
    target: Any,
    *,
    device: torch.device,
    random_state: Any,
    holds_out: bool,
    fraction: float,
    coded: bool,
    balance_by: Any,
    strategies: Sequence[Any],
    progress: bool,
) -> Prepared:
    """Open the store of a large table, or write it, and choose the rows to hold out.

    Parameters
    ----------
    large : LargeTable
    target : str
        The column of the labels.
    device, random_state, holds_out, fraction, coded
        As in `metabalance.estimators.prepared.prepare_rows`.
    balance_by
        None: groups would have to be in memory.
    strategies : sequence of str or sampler
        By which rows are to be drawn.
    progress : bool
        Whether bars on standard error show how far the store is written.

    Raises
    ------
    ValueError, TypeError
        If the table cannot be used.
    """
    if balance_by is not None:
        raise ValueError(
            "balance_by needs rows in memory: leave it out, or make it part of the column to predict"
        )
    source = large.open(target)
    for strategy in strategies:
        if not chooses_rows(strategy):  # now, and once more when all is known that it takes
            name = resolve_strategy(strategy).name
            check_budget(name, source.n_rows, 0, len(source.features), large.memory_budget)
    store = open_store(source, large.folder_of_stores, coded=coded, progress=progress)
    facts = store.facts
    random = check_random_state(random_state)
    split_seed, init_seed, stream_seed = random.randint(2**31 - 1, size=3).tolist()
    rng = np.random.default_rng(split_seed)
    left_out = torch.empty(0, dtype=torch.int64)
    if holds_out:
        check_two_rows_each(facts.counts, facts.classes)
        left_out = torch.from_numpy(_held_out(facts.counts, fraction, rng))
    table = store.table(left_out, device, large.memory_budget)
    train = StoredPart(table)
    valid = train.subset(table.left_out_rows().numpy()) if holds_out else None
    return Prepared(
        encoder=facts.encoder,
        classes=facts.classes,
        counts=facts.counts,
        device=device,
        train=train,
        valid=valid,
        holdouts=None,
        rng=rng,
        init_seed=init_seed,
        stream_seed=stream_seed,
        group_names=None,
    )


def _held_out(counts: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places, class after class and sorted, of rows to hold out: of all classes the same share, or about.

    With very many rows that is a smaller share than ``fraction``, but not of classes with few rows.
    """
    smaller = min(fraction, MOST_HELD_OUT / counts.sum())
    fewest = min(FEWEST_HELD_OUT, MOST_HELD_OUT // len(counts))
    places, start = [], 0
    for count in counts.tolist():
        share = max(round(smaller * count), min(fewest, round(fraction * count)))
        size = min(max(1, share), count - 1)
        places.append(start + np.sort(rng.choice(count, size, replace=False)))
        start += count
    return np.concatenate(places)
