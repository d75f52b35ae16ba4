"""Resampling a table once, with every precondition checked before imbalanced-learn is asked."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from metabalance.sampling.checks import RandomState, as_labels, as_seed, check_same_length
from metabalance.sampling.custom import check_resampled, finite_columns
from metabalance.sampling.neighbours import Counts, clamp_neighbours
from metabalance.sampling.strategies import SamplerLike, Strategy, resolve_strategy


def resample(
    X: NDArray[Any],
    y: NDArray[Any],
    strategy: str | SamplerLike,
    *,
    random_state: RandomState = None,
    categorical: NDArray[np.bool_] | None = None,
    class_names: Sequence[str] | None = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Resample a table with one of the strategies that look at X, or with a sampler object.

    Parameters
    ----------
    X : array of float, shape (n, features)
        Finite numbers. Strategies that only select rows take integers too.
    y : array of int, shape (n,)
        Class ids, any integers, at least two classes.
    strategy : str or object with ``fit_resample``
        Not an index strategy (natural, over, under): these have no resampled table. A sampler object is
        cloned; where its ``random_state`` is None, it is given this one. Which columns it may treat as
        numbers is up to it.
    random_state : int, numpy.random.Generator or None, default=None
        The same int gives the same table, the one imbalanced-learn gives.
    categorical : array of bool, shape (features,), optional
        Columns of X that are categories or one-hot codes, between which nothing can be generated.
    class_names : sequence of str, optional
        What messages call the classes 0, 1, …; their ids by default.

    Returns
    -------
    X : array of the same dtype, shape (m, features)
    y : array of int64, shape (m,)

    Warns
    -----
    UserWarning
        Where fewer neighbours are used than the strategy's default because a class has too few rows. One
        count serves all classes: the smallest decides.

    Raises
    ------
    ValueError
        If X, y and the strategy do not fit together, or the strategy cannot keep its promise on these data: a
        class removed altogether, or left unbalanced by a strategy that balances. Also if a sampler object
        raises an exception of any kind, or returns shapes, labels or numbers that were not to be had of X, y.
    TypeError
        If X or y have a dtype that the strategy cannot work on, or a sampler object returns such.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 3)).astype("float32")
    >>> y = np.repeat([0, 1], [90, 10])
    >>> X_new, y_new = resample(X, y, "smote", random_state=0)
    >>> X_new.shape, X_new.dtype, np.bincount(y_new)
    ((180, 3), dtype('float32'), array([90, 90]))
    """
    X = np.asarray(X)
    labels = as_labels(y)
    check_same_length(X, labels)
    resolved = resolve_strategy(strategy)
    if resolved.build is None:
        raise ValueError(f"{resolved.name} draws rows as it goes and has no resampled table: use BatchStream")
    if resolved.needs_numeric_2d:
        _check_table(X, resolved)
    if resolved.kind == "generating":
        _check_generable(X, resolved, categorical)

    counts = _count(labels, class_names)
    sampler = resolved.build(**clamp_neighbours(resolved.name, resolved.neighbours, counts))
    _seed(sampler, as_seed(random_state))
    X_new, y_new = _fit_resample(sampler, X, labels, resolved)
    _check_promises(counts, _count(y_new, class_names), resolved)
    if resolved.kind != "custom":
        X_new = X_new.astype(X.dtype, copy=False)
    return X_new, y_new.astype(np.int64, copy=False)


def _count(labels: NDArray[Any], class_names: Sequence[str] | None) -> Counts:
    classes, rows = np.unique(labels, return_counts=True)
    names = [str(c) if class_names is None else repr(class_names[c]) for c in classes.tolist()]
    return dict(zip(names, rows.tolist(), strict=True))


def _check_table(X: NDArray[Any], strategy: Strategy) -> None:
    if X.ndim != 2:
        raise ValueError(
            f"{strategy.name} works on tables, X of shape (n, features), but X has shape {X.shape}: use "
            "natural, over or under, which never look at X"
        )
    if X.dtype.kind not in "biuf":
        raise TypeError(
            f"{strategy.name} measures distances, but X has dtype {X.dtype}: encode it as numbers, or use "
            "natural, over or under"
        )
    finite = finite_columns(X)
    if not finite.all():
        raise ValueError(
            f"{strategy.name} measures distances, but X holds NaN or infinity in column "
            f"{_listed(np.flatnonzero(~finite))}: impute or drop these values first, or use natural, "
            "over or under"
        )


def _check_generable(X: NDArray[Any], strategy: Strategy, categorical: NDArray[np.bool_] | None) -> None:
    if X.dtype.kind != "f":
        raise TypeError(
            f"{strategy.name} makes rows that lie between the given ones, which dtype {X.dtype} cannot hold: "
            "pass X.astype('float32')"
        )
    if categorical is None:
        return
    marked = np.asarray(categorical)
    if marked.dtype.kind != "b" or marked.shape != (X.shape[1],):
        raise ValueError(
            f"categorical must hold one bool per column, shape ({X.shape[1]},), got shape {marked.shape} and "
            f"dtype {marked.dtype}"
        )
    if marked.any():
        raise ValueError(
            f"{strategy.name} makes rows between the given ones, which means nothing for categories, here "
            f"column {_listed(np.flatnonzero(marked))} (true/false and indicators of missing values count as "
            "categories): use natural, over or under, a sampler that knows categories such as "
            "imblearn.over_sampling.SMOTENC, or drop these columns"
        )


def _listed(columns: NDArray[np.intp], at_most: int = 5) -> str:
    shown = ", ".join(str(column) for column in columns[:at_most])
    return shown if len(columns) <= at_most else f"{shown} and {len(columns) - at_most} more"


def _seed(sampler: SamplerLike, seed: int) -> None:
    """Set every random state that was left open, also those of samplers inside the sampler."""
    if isinstance(sampler, BaseEstimator):
        unset = [
            name
            for name, value in sampler.get_params().items()
            if name.split("__")[-1] == "random_state" and value is None
        ]
        sampler.set_params(**dict.fromkeys(unset, seed))


def _fit_resample(
    sampler: SamplerLike, X: NDArray[Any], labels: NDArray[np.int64], strategy: Strategy
) -> tuple[NDArray[Any], NDArray[Any]]:
    if strategy.kind == "custom":
        try:
            # Copies, since a sampler of the user's may write to what it is given.
            returned = sampler.fit_resample(X.copy(), labels.copy())
        except Exception as error:  # of any kind: the code is the user's
            raise ValueError(
                f"{strategy.name} cannot resample these {len(X)} rows ({type(error).__name__}: {error}): "
                f"{strategy.on_failure}"
            ) from error
        return check_resampled(returned, X, labels, strategy.name)
    try:
        with warnings.catch_warnings():
            # k-means warns of repeated rows, whose centres repeat too: no harm, and nothing to act on.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return sampler.fit_resample(X, labels)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{strategy.name} cannot resample these {len(X)} rows: {strategy.on_failure}"
        ) from error


def _check_promises(before: Counts, after: Counts, strategy: Strategy) -> None:
    removed = [label for label in before if label not in after]
    if removed:
        raise ValueError(
            f"{strategy.name} removed every row of class {removed[0]} ({before[removed[0]]} in all): use "
            "natural, over or under, which keep every class, or merge or drop the class"
        )
    if strategy.balanced and len(set(after.values())) > 1:
        smallest = min(after, key=after.__getitem__)
        raise ValueError(
            f"{strategy.name} leaves class {smallest} with {after[smallest]} rows where another has "
            f"{max(after.values())}: {strategy.on_failure}"
        )
