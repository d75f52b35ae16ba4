"""Class weights from the number of rows of each class."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def effective_number_weights(counts: ArrayLike, beta: float = 0.999) -> NDArray[np.float64]:
    r"""Weights of the class-balanced loss: 1 / effective number of rows of each class.

    Rows overlap, so that n rows of a class are worth :math:`E_n = (1 - \beta^n) / (1 - \beta)` of them [1]_.
    A class weighs :math:`1 / E_n`: all alike for :math:`\beta = 0`, ever closer to inverse frequency as
    :math:`\beta` goes to 1. Only the ratios of the weights matter.

    Parameters
    ----------
    counts : array-like of int, shape (K,)
        Training rows of each class, at least 1.
    beta : float in [0, 1), default=0.999
        The paper tries 0.9, 0.99, 0.999 and 0.9999, and takes 0.999 for its large data sets.

    Returns
    -------
    ndarray of float, shape (K,)

    Raises
    ------
    ValueError
        If beta lies outside of [0, 1) or a class has no rows.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song, Belongie. Class-Balanced Loss Based on Effective Number of Samples. CVPR 2019,
       eq. 2 and section 4.

    Examples
    --------
    >>> from metabalance.nn import effective_number_weights
    >>> weights = effective_number_weights([100_000, 1_000, 10])
    >>> (weights / weights[0]).round(2).tolist()
    [1.0, 1.58, 100.45]
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta must lie in [0, 1), got {beta!r}")
    rows = np.asarray(counts, dtype=np.float64)
    if not (rows >= 1).all():
        raise ValueError(f"every class needs at least one row, got counts {rows.tolist()}")
    weights: NDArray[np.float64] = (1 - beta) / (1 - beta**rows)
    return weights
