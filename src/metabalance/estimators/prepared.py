"""What a fit works on, once the table is encoded and split."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing, check_consistent_length, check_random_state

from metabalance.encoding.labels import encode_labels
from metabalance.encoding.tables import TableEncoder, make_encoder, refuse_single
from metabalance.estimators.groups import encode_groups
from metabalance.training import Holdouts, Part, PartInMemory, cross_fitted_holdouts, stratified_holdout

FEW_CLASSES = 20  # of which no table has too many
ROWS_OF_A_CLASS = 2.5  # on average, below which y hardly is a class


@dataclass(frozen=True)
class Prepared:
    """Encoded rows, what is known of them, and the seeds of the training that follows.

    Parameters
    ----------
    encoder : TableEncoder or ArrayEncoder
        Fitted to the training part.
    classes, counts : arrays of shape (n_classes,)
        Labels, and the rows of each in all.
    device : torch.device
    train : Part
        The rows that are trained on.
    valid : Part or None
        The rows held out for early stopping, where there is such.
    holdouts : Holdouts or None
        Which of the rows trained on each member holds out, where they do not share a ``valid``.
    rng : numpy.random.Generator
        As the split has left it.
    init_seed, stream_seed : int
        Seed of the initial weights and of dropout, and of the streams.
    group_names : sequence of str, optional
        Names of the groups that are balanced in the place of classes.
    """

    encoder: Any
    classes: NDArray[Any]
    counts: NDArray[np.int64]
    device: torch.device
    train: Part
    valid: PartInMemory | None
    holdouts: Holdouts | None
    rng: np.random.Generator
    init_seed: int
    stream_seed: int
    group_names: list[str] | None

    @property
    def stream_options(self) -> dict[str, Any]:
        """What every stream over the training part takes."""
        return {
            "random_state": self.stream_seed,
            "categorical": self.encoder.categorical_outputs_,
            "class_names": self.group_names or [str(label) for label in self.classes],
            "balance_by": self.train.balance_by,
        }

    def on_all_rows(self) -> "Prepared":
        """The same with the held-out part among the rows that are trained on."""
        if self.valid is None:
            return self
        return replace(self, train=self.train.with_rows_of(self.valid), valid=None)


def with_rows(X: Any) -> Any:
    """Return X as something whose rows scikit-learn can take: tensors and other arrays become NumPy's."""
    refuse_single(X)
    return X if isinstance(X, np.ndarray | pd.DataFrame | list) else np.asarray(X)


def prepare_rows(
    X: Any,
    y: Any,
    *,
    device: torch.device,
    random_state: Any,
    holds_out: bool,
    fraction: float,
    cross_fitted_members: int | None,
    coded: bool,
    balance_by: Any = None,
) -> Prepared:
    """Encode labels and rows, and hold some of the rows out.

    Parameters
    ----------
    X, y, balance_by
        As `fit` takes them.
    device : torch.device
    random_state : int, RandomState or None
    holds_out : bool
        Whether any rows are held out.
    fraction : float in (0, 1)
        Share of each class that is.
    cross_fitted_members : int, optional
        Members of an ensemble that hold out rows of their own where X is a table. All rows are trained on
        then, and the encoder, which does not look at labels, is fitted to all; otherwise to the others only.

    coded : bool
        As in `metabalance.encoding.tables.TableEncoder`.

    Raises
    ------
    ValueError, TypeError
        If rows or labels cannot be used.
    """
    encoder = make_encoder(X, coded=coded)
    X = with_rows(X)
    check_consistent_length(X, y)
    classes, codes = encode_labels(y)
    if isinstance(encoder, TableEncoder):
        _warn_of_many_classes(len(classes), len(codes))
    names, groups = None, None
    if balance_by is not None:
        names, groups = encode_groups("balance_by", balance_by, len(codes))
    random = check_random_state(random_state)
    split_seed, init_seed, stream_seed = random.randint(2**31 - 1, size=3).tolist()
    rng = np.random.default_rng(split_seed)
    encoded = _encoded_on(device, encoder)
    valid, holdouts = None, None
    if holds_out and cross_fitted_members is not None and isinstance(encoder, TableEncoder):
        holdouts = cross_fitted_holdouts(codes, cross_fitted_members, fraction, rng, classes, groups)
        encoder.fit(X)
        targets = torch.from_numpy(np.stack([codes, holdouts.group], axis=1)).to(device)
        train = replace(encoded(X, codes), y=targets, balance_by=codes if groups is None else groups)
    elif holds_out:
        train_rows, valid_rows = stratified_holdout(codes, fraction, rng, classes, groups)
        X_train = _safe_indexing(X, train_rows)
        # Whether a column holds numbers or text is a matter of the whole table, its statistics are not.
        encoder.fit(X_train, kinds_from=X)
        train = encoded(X_train, codes[train_rows])
        del X_train  # before the next copy
        valid = encoded(_safe_indexing(X, valid_rows), codes[valid_rows])
        if groups is not None and names is not None:
            _check_all_are_left(groups[train_rows], names)
            train, valid = (
                replace(part, balance_by=groups[rows])
                for part, rows in ((train, train_rows), (valid, valid_rows))
            )
    else:
        encoder.fit(X)
        train = replace(encoded(X, codes), balance_by=groups)
    return Prepared(
        encoder,
        classes,
        np.bincount(codes),
        device,
        train,
        valid,
        holdouts,
        rng,
        init_seed,
        stream_seed,
        names,
    )


def _warn_of_many_classes(classes: int, rows: int) -> None:
    if classes > FEW_CLASSES and rows < ROWS_OF_A_CLASS * classes:
        warnings.warn(
            f"y holds {classes} classes in {rows} rows, too few of each to learn from: is it a number to be "
            "estimated, or the wrong column?",
            UserWarning,
            stacklevel=4,
        )


def _check_all_are_left(groups: NDArray[np.int64], names: list[str]) -> None:
    """Raise ValueError if a group has no row that is trained on."""
    counts = np.bincount(groups, minlength=len(names))
    if not counts.all():
        raise ValueError(
            f"group {names[int(counts.argmin())]!r} of balance_by has no row left to train on, since rows "
            "are held out: collect more, merge or drop the group, or train with early_stopping=False"
        )


def _encoded_on(device: torch.device, encoder: Any) -> Callable[[Any, NDArray[np.int64]], PartInMemory]:
    def encoded(rows: Any, codes: NDArray[np.int64]) -> PartInMemory:
        x = torch.from_numpy(encoder.transform(rows)).to(device)
        return PartInMemory(x, torch.from_numpy(codes).to(device), codes)

    return encoded
