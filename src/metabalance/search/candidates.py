"""The candidates of a search: every pair of strategies with every further setting."""

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.model_selection import ParameterGrid

from metabalance.estimators.free_parameters import FREE_PREFIXES
from metabalance.sampling import resolve_strategy

SUPPORT, QUERY = "support_sampler", "query_sampler"
OF_THE_SEARCH = (SUPPORT, QUERY, "max_epochs", "random_state")
Params = dict[str, Any]


def check_samplers(name: str, samplers: Any) -> None:
    """Raise unless this is a list of known strategies, at least one and each once."""
    if isinstance(samplers, str) or not isinstance(samplers, Sequence):
        raise TypeError(f"{name} must be a list of strategies, got {samplers!r}")
    if not samplers:
        raise ValueError(f"{name} is empty: list at least one strategy, such as 'natural'")
    for sampler in samplers:
        resolve_strategy(sampler)
    titles = [title(sampler) for sampler in samplers]
    repeated = [each for each in titles if titles.count(each) > 1]
    if repeated:
        raise ValueError(f"{name} lists {repeated[0]} more than once")


def check_titles(support: Sequence[Any], query: Sequence[Any]) -> None:
    """Raise if two samplers of the two lists print themselves alike and may yet be different.

    Samplers are told apart by what they are called. One object may stand in both lists, and so may two of
    scikit-learn's kind, whose ``repr`` shows their parameters.
    """
    for one in support:
        for other in query:
            alike = title(one) == title(other) and one is not other and not isinstance(one, str)
            if alike and not (isinstance(one, BaseEstimator) and type(one) is type(other)):
                raise ValueError(
                    f"two samplers are both called {title(one)}, in support_samplers and in query_samplers: "
                    "pass the same object twice, or give them different reprs"
                )


def check_grid(param_grid: Any, known: Mapping[str, Any]) -> list[Params]:
    """Return all combinations of the further settings, a single empty one where there are none.

    Parameters
    ----------
    param_grid : mapping of str to list, or None
    known : mapping of str to any
        The parameters of the estimator; those of its network and its optimizer need not be among them.
    """
    if param_grid is None:
        return [{}]
    if not isinstance(param_grid, Mapping):
        raise TypeError(f"param_grid must map parameters to lists of values, got {param_grid!r}")
    for name in param_grid:
        if name in OF_THE_SEARCH:
            raise ValueError(f"param_grid holds {name}, which the search sets itself: leave it out")
        if name not in known and not str(name).startswith(FREE_PREFIXES):
            raise ValueError(
                f"param_grid holds {name!r}, which is no parameter of the estimator; arguments of the "
                f"network or the optimizer start with {' or '.join(FREE_PREFIXES)}"
            )
    return list(ParameterGrid(dict(param_grid)))


def title(sampler: Any) -> str:
    """Return what a strategy is called in tables: its name, or how a sampler object prints itself."""
    return sampler if isinstance(sampler, str) else " ".join(repr(sampler).split())


def describe(params: Mapping[str, Any]) -> str:
    """Write a candidate, or any settings, in one line.

    Examples
    --------
    >>> describe({"support_sampler": "natural", "query_sampler": "over", "inner_lr": 0.01})
    'natural/over, inner_lr=0.01'
    """
    pair = [f"{title(params[SUPPORT])}/{title(params[QUERY])}"] if SUPPORT in params else []
    others = [
        f"{name}={float(f'{value:.4g}') if isinstance(value, float) else value!r}"
        for name, value in params.items()
        if name not in (SUPPORT, QUERY)
    ]
    return ", ".join([*pair, *others]) or "the defaults"


def all_candidates(
    support: Sequence[Any], query: Sequence[Any], grid: Sequence[Params], left_out: Mapping[str, str]
) -> list[Params]:
    """Return every pair of strategies that can work, with every combination of further settings.

    Raises
    ------
    ValueError
        If one of the lists has none that can.
    """
    able = {}
    for name, samplers in (("support", support), ("query", query)):
        able[name] = [each for each in samplers if title(each) not in left_out]
        if not able[name]:
            first = title(samplers[0])
            raise ValueError(
                f"none of the {name}_samplers can work on these data; {first}: {left_out[first]}"
            )
    return [
        {SUPPORT: one, QUERY: other, **params}
        for one in able["support"]
        for other in able["query"]
        for params in grid
    ]
