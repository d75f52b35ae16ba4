"""What an epoch is: a number of drawn rows, the same for every update rule on the same data."""

MIN_ROWS_PER_EPOCH = 4096
MAX_ROWS_PER_EPOCH = 32_768


class EpochBudget:
    """Spreads optimizer steps over epochs so that after e epochs every rule has drawn as many rows.

    An epoch is as many drawn rows as the training part has, support and query rows counted alike, but at
    least 4,096 (on small data an epoch is several passes, so that scoring after each stays cheap), at most
    32,768 (on large data the best moment to stop may come within a pass) and at least one optimizer step. A
    step may overshoot an epoch; the next epoch is then shorter. So methods with batches of 64 and of 3,200
    rows differ by less than one step after any number of epochs.

    Parameters
    ----------
    n_rows : int
        Rows of the training part.
    rows_per_update : int
        Rows that one optimizer step draws.
    """

    def __init__(self, n_rows: int, rows_per_update: int) -> None:
        passes = min(max(n_rows, MIN_ROWS_PER_EPOCH), MAX_ROWS_PER_EPOCH)
        self.rows_per_epoch = max(passes, rows_per_update)
        self.rows_per_update = rows_per_update
        self.rows_drawn = 0
        self.epochs = 0

    def updates(self, epochs: int) -> int:
        """Return the number of optimizer steps of the first epochs."""
        return -(-epochs * self.rows_per_epoch // self.rows_per_update)

    def next_epoch(self) -> int:
        """Return the number of optimizer steps of the next epoch and count their rows."""
        self.epochs += 1
        updates = self.updates(self.epochs) - self.updates(self.epochs - 1)
        self.rows_drawn += updates * self.rows_per_update
        return updates
