"""How many neighbours a strategy looks at, and what to do where the data have fewer rows than that."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Counts = Mapping[str, int]
"""Rows per class, by the name that messages give it."""


class Limit(NamedTuple):
    """The most neighbours the data allow, and whose rows set that limit."""

    whose: str
    rows: int
    most: int


@dataclass(frozen=True)
class Neighbours:
    """One neighbour count of an imbalanced-learn sampler.

    Parameters
    ----------
    parameter : str
        Its name in the sampler's constructor.
    default : int
        imbalanced-learn's default.
    limit : callable
        Takes the rows per class; returns the `Limit`, or None where no neighbours will be looked for.
    """

    parameter: str
    default: int
    limit: Callable[[Counts], Limit | None]

    @property
    def symbol(self) -> str:
        """The letter of the papers: m for neighbours among all rows in the border methods, else k."""
        return "m" if self.parameter == "m_neighbors" else "k"


def within_each_grown_class(counts: Counts) -> Limit | None:
    """Neighbours of the same class, for every class that gets new rows: all but the largest."""
    largest = max(counts.values())
    grown = [label for label in counts if counts[label] < largest]
    if not grown:
        return None
    label = min(grown, key=counts.__getitem__)
    return Limit(f"class {label}", counts[label], counts[label] - 1)


def within_smallest_class(counts: Counts) -> Limit:
    """Neighbours that rows of other classes have in the smallest class."""
    label = min(counts, key=counts.__getitem__)
    return Limit(f"class {label}", counts[label], counts[label])


def among_all_rows(counts: Counts) -> Limit:
    """Neighbours of any class."""
    rows = sum(counts.values())
    return Limit("the whole data set", rows, rows - 1)


def among_balanced_rows(counts: Counts) -> Limit:
    """Neighbours of any class after every class has grown to the largest."""
    rows = len(counts) * max(counts.values())
    return Limit("the balanced data set", rows, rows - 1)


def clamp_neighbours(name: str, neighbours: tuple[Neighbours, ...], counts: Counts) -> dict[str, int]:
    """Choose the neighbour counts that the data allow, warning once if they are below the defaults.

    Parameters
    ----------
    name : str
        The strategy, for the messages.
    neighbours : tuple of Neighbours
    counts : mapping of str to int
        Rows per class.

    Returns
    -------
    dict of str to int
        Arguments for the sampler's constructor.

    Warns
    -----
    UserWarning
        Naming class, rows and neighbours.

    Raises
    ------
    ValueError
        If a class has one row where its own neighbours are needed.
    """
    chosen, changes = {}, []
    for wanted in neighbours:
        chosen[wanted.parameter] = wanted.default
        limit = wanted.limit(counts)
        if limit is None or limit.most >= wanted.default:
            continue
        if limit.most < 1:
            raise ValueError(
                f"{limit.whose} has {limit.rows} row, but {name} needs at least 2 in each class that it adds "
                "to: collect more rows, drop or merge the class, or use over, which repeats rows"
            )
        chosen[wanted.parameter] = limit.most
        changes.append(
            f"{limit.whose} has {limit.rows} rows: {name} uses {wanted.symbol}={limit.most} neighbours "
            f"instead of {wanted.default}"
        )
    if changes:
        warnings.warn("; ".join(changes), UserWarning, stacklevel=2)
    return chosen
