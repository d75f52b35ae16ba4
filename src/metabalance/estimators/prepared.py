"""What a fit works on, once the table is encoded and split."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from metabalance.training import Holdouts, Part


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


def with_rows(X: Any) -> Any:
    """Return X as something whose rows scikit-learn can take: tensors and other arrays become NumPy's."""
    return X if isinstance(X, np.ndarray | pd.DataFrame | list) else np.asarray(X)
