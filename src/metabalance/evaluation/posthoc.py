"""What can be done to probabilities after training: move them to another prior, or to a given recall."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDING = 1e-6  # by which a probability in single precision may come out above 1
ROUNDED_ROWS = 6  # digits: 0.1 of 30 rows are 3, not a rounding error more
SMALLEST_SHARE = 1e-100  # far from where the quotient of two shares would overflow


def correct_prior(
    proba: ArrayLike, training_prior: ArrayLike, target_prior: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Turn probabilities under one class prior into those under another.

    If only the class frequencies differ between training and use, and not what rows of a class look like,
    Bayes' rule gives :math:`p'(k \mid x) \propto p(k \mid x) \, \pi'_k / \pi_k` [1]_ (eq. 2.4). With the
    balanced target this divides by the training frequencies [2]_ (section 6). For two classes the order of
    the rows, and so ROC-AUC, stays as it is; for more it may change.

    Parameters
    ----------
    proba : array-like of float, shape (n, K)
        ``predict_proba`` of a classifier trained on the data as they are. One trained on balanced batches,
        with class weights or a logit-adjusted loss speaks the balanced prior already: then the training
        prior to give here is ``numpy.ones(K)``.
    training_prior : array-like of float, shape (K,)
        Class frequencies of the training data, above 0, in the order of the columns. Counts will do.
    target_prior : array-like of float, shape (K,), optional
        Class frequencies to predict for, at least 0; balanced by default.

    Returns
    -------
    ndarray of float, shape (n, K)
        Each row sums to 1.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of range, or a row has no probability left under the target.

    References
    ----------
    .. [1] Saerens, Latinne, Decaestecker. Adjusting the Outputs of a Classifier to New a Priori
       Probabilities: A Simple Procedure. Neural Computation 14, 2002.
    .. [2] Bansal et al. MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data. 2021.

    Examples
    --------
    >>> from metabalance import correct_prior
    >>> correct_prior([[0.9, 0.1], [0.5, 0.5]], training_prior=[90, 10]).round(3).tolist()
    [[0.5, 0.5], [0.1, 0.9]]
    """
    table = _as_probabilities(proba)
    n_classes = table.shape[1]
    before = _as_frequencies("training_prior", training_prior, n_classes)
    if not (before > 0).all():
        raise ValueError(
            f"training_prior must be above 0 for every class, got {before.tolist()}: leave out the columns "
            "of classes that were not trained on"
        )
    balanced = np.ones(n_classes) if target_prior is None else target_prior
    moved = table * (_as_frequencies("target_prior", balanced, n_classes) / before)
    total = moved.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        row = int(np.flatnonzero(total == 0)[0])
        raise ValueError(
            f"row {row} of proba, {table[row].tolist()}, has no class left that target_prior allows"
        )
    corrected: NDArray[np.float64] = moved / total
    return corrected


def predict_at_recall(
    proba: ArrayLike, y_true: ArrayLike, recall: float, *, label: int | None = None
) -> NDArray[np.int64]:
    """Predict with the threshold at which one class has a given recall. **It looks at the rows' labels.**

    Two classifiers can be compared in how well they tell rare classes only where they give up as much of the
    frequent one. A factor on the probability of that class makes up for the difference [1]_ (section 6, the
    experiment with matched accuracies on the majority class); for two classes that is a threshold. Since the
    factor is chosen on the rows that are then judged, this compares classifiers, and is not what one of them
    would achieve on new data.

    Parameters
    ----------
    proba : array-like of float, shape (n, K)
        Probabilities, in columns for the codes 0, 1, …
    y_true : array-like of int, shape (n,)
        Codes of the true classes.
    recall : float
        Wanted recall, between 0 and 1; of the recalls that rows and ties allow, the next higher one is taken.
    label : int, optional
        Code of the class; by default the most frequent one of ``y_true``.

    Returns
    -------
    ndarray of int64, shape (n,)
        Predicted codes.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of range, or no row is of the class.

    References
    ----------
    .. [1] Bansal et al. MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data. 2021.

    Examples
    --------
    >>> from metabalance.evaluation import predict_at_recall
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.75, 0.25]]
    >>> predict_at_recall(proba, y_true=[0, 0, 0, 0, 1], recall=0.5).tolist()
    [0, 0, 1, 1, 1]
    """
    table = _as_probabilities(proba)
    if not (table.sum(axis=1) > 0).all():
        row = int(np.flatnonzero(table.sum(axis=1) == 0)[0])
        raise ValueError(f"row {row} of proba gives no class any probability")
    codes = np.asarray(y_true)
    n_classes = table.shape[1]
    if n_classes < 2:
        raise ValueError(f"proba must have a column for each of at least two classes, got {n_classes}")
    if codes.shape != (len(table),) or not np.isin(codes, np.arange(n_classes)).all():
        raise ValueError(
            f"y_true must have a code from 0 to {n_classes - 1} for each of the {len(table)} rows of proba, "
            f"got shape {codes.shape}" + (f" with values such as {codes.flat[0]!r}" if codes.size else "")
        )
    if not 0 <= recall <= 1:
        raise ValueError(f"recall must be between 0 and 1, got {recall!r}")
    chosen = int(np.bincount(codes.astype(np.int64), minlength=1).argmax()) if label is None else label
    if not (codes == chosen).any():
        raise ValueError(f"no row of y_true is of class {chosen!r}, so it has no recall")
    others = np.where(np.arange(n_classes) == chosen, -1.0, table)
    with np.errstate(divide="ignore", over="ignore"):  # both are leads that none is above
        lead = table[:, chosen] / others.max(axis=1)
    of_class = np.sort(lead[codes == chosen])[::-1]
    wanted = math.ceil(round(recall * len(of_class), ROUNDED_ROWS))
    found = (lead >= of_class[wanted - 1]) if wanted else np.zeros(len(lead), dtype=bool)
    predicted: NDArray[np.int64] = np.where(found, chosen, others.argmax(axis=1))
    return predicted


def _as_probabilities(proba: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of shape (n, K), checked."""
    table = np.asarray(proba, dtype=np.float64)
    if table.ndim != 2 or not ((table >= 0) & (table <= 1 + ROUNDING)).all():
        raise ValueError(
            f"proba must be probabilities between 0 and 1 of shape (n, K), got shape {table.shape}"
            + (f" with values from {table.min()} to {table.max()}" if table.size else "")
        )
    return table


def _as_frequencies(name: str, prior: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    """The prior with sum 1, checked."""
    frequencies = np.asarray(prior, dtype=np.float64)
    if frequencies.shape != (n_classes,):
        raise ValueError(
            f"{name} must have one number for each of the {n_classes} columns, got shape {frequencies.shape}"
        )
    if not (np.isfinite(frequencies).all() and (frequencies >= 0).all() and frequencies.any()):
        raise ValueError(f"{name} must be finite, at least 0 and not all 0, got {frequencies.tolist()}")
    shares: NDArray[np.float64] = frequencies / frequencies.max()  # first, since the sum may overflow
    shares /= shares.sum()
    if ((frequencies > 0) & (shares < SMALLEST_SHARE)).any():
        raise ValueError(
            f"{name} must give no class a share below {SMALLEST_SHARE} but 0, got {frequencies.tolist()}"
        )
    return shares
