"""Which part of what all processes draw is whose."""

from metabalance.sampling.checks import RandomState, check_count


def share_of(count: int, num_replicas: int, rank: int) -> slice:
    """Return the part of ``count`` things that is this process's; sizes differ by one at most.

    Raises
    ------
    TypeError, ValueError
        If the numbers are no processes, or there are fewer things than processes.

    Examples
    --------
    >>> [share_of(5, 2, rank) for rank in range(2)]
    [slice(0, 3, None), slice(3, 5, None)]
    """
    check_count("num_replicas", num_replicas)
    if isinstance(rank, bool) or not isinstance(rank, int) or not 0 <= rank < num_replicas:
        raise ValueError(f"rank must be a whole number from 0 to {num_replicas - 1}, got {rank!r}")
    if count < num_replicas:
        raise ValueError(
            f"{num_replicas} processes cannot share out {count} meta steps: every one needs at least one, "
            "take more of them (meta_steps) or fewer processes"
        )
    size, rest = divmod(count, num_replicas)
    first = rank * size + min(rank, rest)
    return slice(first, first + size + (rank < rest))


def check_common_seed(random_state: RandomState, num_replicas: int) -> None:
    """Raise ValueError if processes that share a stream could begin it differently."""
    if num_replicas > 1 and not isinstance(random_state, int):
        raise ValueError(
            f"random_state must be the same whole number in all {num_replicas} processes, got "
            f"{random_state!r}"
        )
