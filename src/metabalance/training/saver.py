"""Checkpoints on disk: written every so often, whole or not at all, and read without running any code."""

import io
import math
import pickle
import reprlib
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from metabalance.files import remove_unfinished, write_atomically
from metabalance.seals import seal, unseal
from metabalance.training.snapshots import State, restore_snapshot, take_snapshot

FORMAT = "metabalance-checkpoint"
FORMAT_VERSION = 1
# What reading a state raises where the file was cut short, or where somebody has changed it.
DAMAGE = (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError, EOFError)


class Saver:
    """Keeps the state of one training in a file.

    Parameters
    ----------
    file : Path
    made_of : mapping of str to str
        What makes this training the one that it is: the data, the parameters. A state is gone on from only
        where all of it is the same.
    every_seconds : float or None
        Seconds between two states, at least.
    every_updates : int or None
        Updates between two states.
    writes : bool, default=True
        Whether states are written at all, or only read.

    Attributes
    ----------
    updates : int
        Made since the last state was written, or failed to be written.
    """

    def __init__(
        self,
        file: Path,
        made_of: Mapping[str, str],
        every_seconds: float | None,
        every_updates: int | None,
        writes: bool = True,
    ) -> None:
        self.file = file
        self.made_of = dict(made_of)
        self.every_seconds = math.inf if every_seconds is None else every_seconds
        self.every_updates = math.inf if every_updates is None else every_updates
        self.writes = writes
        self.updates = 0
        self.written_at = time.monotonic()

    def start(self, loop: Any) -> bool:
        """Put the loop into the state that is kept, if there is one; return whether training has ended there.

        Raises
        ------
        ValueError
            If the file is damaged, of another format, or the state is one of another training.
        """
        if self.writes:
            remove_unfinished(self.file)
        if not self.file.exists():
            return False
        kept = _read(self.file)
        check_same_run(kept["made_of"], self.made_of, self.file)
        try:
            restore_snapshot(loop, kept["state"])
            return bool(kept["state"]["finished"])
        except torch.OutOfMemoryError:  # a RuntimeError that says nothing of the file
            raise
        except DAMAGE as error:
            raise ValueError(
                f"the checkpoint {str(self.file)!r} is damaged ({error}): delete it to train from the "
                "beginning"
            ) from error

    def after_update(self, loop: Any) -> None:
        """Write the state down if it is time to.

        Training is worth more than its checkpoint: where it cannot be written, this warns, and tries again
        when it is time once more.
        """
        self.updates += 1
        if not self.writes:
            return
        if self.updates >= self.every_updates or time.monotonic() - self.written_at >= self.every_seconds:
            self._write(take_snapshot(loop, finished=False))

    def finish(self, loop: Any) -> None:
        """Write the state down that training has ended in."""
        if self.writes:
            self._write(take_snapshot(loop, finished=True))

    def _write(self, state: State) -> None:
        content = io.BytesIO()  # first, since torch hides what went wrong in a file of its own
        torch.save(
            {"format": FORMAT, "version": FORMAT_VERSION, "made_of": self.made_of, "state": state}, content
        )
        try:
            write_atomically(self.file, seal(content.getbuffer(), FORMAT))
        except ValueError as error:
            warnings.warn(
                f"no checkpoint: {error}; training goes on, and tries again when the next one is due",
                UserWarning,
                stacklevel=2,
            )
        self.updates, self.written_at = 0, time.monotonic()


def _read(file: Path) -> Any:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"the checkpoint {str(file)!r} cannot be read ({error.strerror})") from error
    try:
        sealed = unseal(content, FORMAT)
        if sealed is None:
            kept = None
        else:
            kept = torch.load(io.BytesIO(sealed), map_location="cpu", weights_only=True)
    except (*DAMAGE, OSError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"the checkpoint {str(file)!r} is damaged: delete it to train from the beginning"
        ) from error
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise ValueError(f"{str(file)!r} is no checkpoint of metabalance: name another folder")
    if kept.get("version") != FORMAT_VERSION:
        raise ValueError(
            f"the checkpoint {str(file)!r} has format version {kept.get('version')!r}, this metabalance "
            f"reads version {FORMAT_VERSION}: go on with the version that began, or delete it"
        )
    if not isinstance(kept.get("made_of"), dict):
        raise ValueError(f"the checkpoint {str(file)!r} is damaged: delete it to train from the beginning")
    return kept


def check_same_run(kept: Mapping[str, str], made_of: Mapping[str, str], file: Path) -> None:
    """Raise ValueError unless what is kept in a file was made of the same."""
    different = sorted(name for name in kept.keys() | made_of.keys() if kept.get(name) != made_of.get(name))
    if different:
        name = different[0]
        was, now = (reprlib.repr(each.get(name)) for each in (kept, made_of))
        raise ValueError(
            f"the checkpoint {str(file)!r} is of a run with other {', '.join(different)} ({name} was {was}, "
            f"now {now}): go on with the same data and parameters, or name another folder"
        )
