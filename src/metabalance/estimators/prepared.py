"""What a fit works on, once the table is encoded and split."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing, check_consistent_length, check_random_state

from metabalance.estimators.labels import encode_labels
from metabalance.estimators.tables import TableEncoder, make_encoder
from metabalance.training import Holdouts, Part, cross_fitted_holdouts, stratified_holdout


@dataclass(frozen=True)
class Prepared:
    """Encoded rows, what is known of them, and the seeds of the training that follows.

    Parameters
    ----------
    encoder : TableEncoder or ArrayEncoder
        Fitted to the training part.
    classes, codes : arrays of shape (n_classes,) and (n_rows,)
        Labels, and the code of every row's label among them.
    device : torch.device
    train : Part
        The rows that are trained on.
    valid : Part or None
        The rows held out for early stopping, where there is such.
    holdouts : Holdouts or None
        Which of the rows trained on each member holds out, where they do not share a ``valid``.
    rng : numpy.random.Generator
        As the split has left it.
    init_seed : int
        Seed of the initial weights and of dropout.
    stream_options : dict
        What every stream over the training part takes, its seed included.
    """

    encoder: Any
    classes: NDArray[Any]
    codes: NDArray[np.int64]
    device: torch.device
    train: Part
    valid: Part | None
    holdouts: Holdouts | None
    rng: np.random.Generator
    init_seed: int
    stream_options: dict[str, Any]

    def on_all_rows(self) -> "Prepared":
        """The same with the held-out part among the rows that are trained on."""
        if self.valid is None:
            return self
        train = Part(
            torch.cat([self.train.x, self.valid.x]),
            torch.cat([self.train.y, self.valid.y]),
            np.concatenate([self.train.codes, self.valid.codes]),
        )
        return replace(self, train=train, valid=None)


def with_rows(X: Any) -> Any:
    """Return X as something whose rows scikit-learn can take: tensors and other arrays become NumPy's."""
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
) -> Prepared:
    """Encode labels and rows, and hold some of the rows out.

    Parameters
    ----------
    X, y
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
        As in `metabalance.estimators.tables.TableEncoder`.

    Raises
    ------
    ValueError, TypeError
        If rows or labels cannot be used.
    """
    encoder = make_encoder(X, coded=coded)
    X = with_rows(X)
    check_consistent_length(X, y)
    classes, codes = encode_labels(y)
    random = check_random_state(random_state)
    split_seed, init_seed, stream_seed = random.randint(2**31 - 1, size=3).tolist()
    rng = np.random.default_rng(split_seed)
    encoded = _encoded_on(device, encoder)
    valid, holdouts = None, None
    if holds_out and cross_fitted_members is not None and isinstance(encoder, TableEncoder):
        holdouts = cross_fitted_holdouts(codes, cross_fitted_members, fraction, rng, classes)
        encoder.fit(X)
        targets = torch.from_numpy(np.stack([codes, holdouts.group], axis=1)).to(device)
        train = replace(encoded(X, codes), y=targets)
    elif holds_out:
        train_rows, valid_rows = stratified_holdout(codes, fraction, rng, classes)
        X_train = _safe_indexing(X, train_rows)
        # Whether a column holds numbers or text is a matter of the whole table, its statistics are not.
        encoder.fit(X_train, kinds_from=X)
        train = encoded(X_train, codes[train_rows])
        del X_train  # before the next copy
        valid = encoded(_safe_indexing(X, valid_rows), codes[valid_rows])
    else:
        encoder.fit(X)
        train = encoded(X, codes)
    stream_options = {
        "random_state": stream_seed,
        "categorical": encoder.categorical_outputs_,
        "class_names": [str(label) for label in classes],
        "balance_by": None if holdouts is None else codes,
    }
    return Prepared(encoder, classes, codes, device, train, valid, holdouts, rng, init_seed, stream_options)


def _encoded_on(device: torch.device, encoder: Any) -> Callable[[Any, NDArray[np.int64]], Part]:
    def encoded(rows: Any, codes: NDArray[np.int64]) -> Part:
        x = torch.from_numpy(encoder.transform(rows)).to(device)
        return Part(x, torch.from_numpy(codes).to(device), codes)

    return encoded
