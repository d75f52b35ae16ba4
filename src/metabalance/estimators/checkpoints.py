"""Checkpoints of a fit: where they are kept, and what makes a fit the one that they are of."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import metadata_routing
from torch.distributed import ProcessGroup, get_rank

from metabalance.estimators.in_words import in_words
from metabalance.estimators.parameters import check_number, check_positive_int, is_whole_number
from metabalance.estimators.prepared import Prepared
from metabalance.training import Part, Saver

NOT_OF_A_FIT = ("verbose", "n_jobs", "memory", "device")  # parameters that decide nothing that is learned
# Arguments of `fit` that are about one fit, and so nothing that a pipeline or a search could hand on.
NOT_ROUTED = dict.fromkeys(("checkpoint", "resume"), metadata_routing.UNUSED)
NOT_ROUTED_NETWORK = {**NOT_ROUTED, "process_group": metadata_routing.UNUSED}
FILES = ("training.checkpoint", "refit.checkpoint")
ABOUT_FILE = "run.json"  # of a run of many fits


@dataclass(frozen=True)
class Checkpoint:
    """Where a fit writes down how far it has come, and how often.

    A checkpoint is a file of some times the size of the network, replaced as a whole; writing one takes
    milliseconds for the default network.

    Parameters
    ----------
    folder : path-like
        Made if it does not exist; of one fit only.
    every_seconds : float or None, default=60
        Write one after the first update that ends so long after the last one was written.
    every_updates : int or None, default=None
        Write one after so many updates.

    Raises
    ------
    ValueError, TypeError
        If the folder is a file, or a number is out of range.

    Examples
    --------
    >>> from metabalance import Checkpoint
    >>> Checkpoint("run-1", every_updates=100).every_seconds
    60.0
    """

    folder: str | os.PathLike[str]
    every_seconds: float | None = 60.0
    every_updates: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | os.PathLike):
            raise TypeError(f"checkpoint must be a folder or a metabalance.Checkpoint, got {self.folder!r}")
        if not os.fspath(self.folder):
            raise ValueError("checkpoint is an empty text: name a folder")
        if Path(self.folder).is_file():
            raise ValueError(f"checkpoint={str(self.folder)!r} is a file: name a folder")
        if self.every_seconds is not None:
            check_number("every_seconds", self.every_seconds, at_least=0)
        if self.every_updates is not None:
            check_positive_int("every_updates", self.every_updates)

    def files(self) -> list[Path]:
        """Return the files of checkpoints that are there."""
        return [file for name in (*FILES, ABOUT_FILE) if (file := Path(self.folder) / name).exists()]

    def savers(self, made_of: Mapping[str, str], group: ProcessGroup | None = None) -> tuple[Saver, Saver]:
        """Return what keeps the checkpoints of the training, and of the one again on all rows (``refit``).

        Of a group of processes, all of which are in the same state, the first writes them.
        """
        writes = group is None or get_rank(group) == 0
        first, again = (
            Saver(Path(self.folder) / name, made_of, self.every_seconds, self.every_updates, writes)
            for name in FILES
        )
        return first, again


def chosen_checkpoint(checkpoint: Any, resume: Any, random_state: Any) -> Checkpoint | None:
    """Return the checkpoint that the arguments of a fit, or of a run of many, mean.

    Raises
    ------
    ValueError, TypeError
        If it could not be gone on with, or another checkpoint is in the way.
    """
    if not isinstance(resume, bool | np.bool_):
        raise TypeError(f"resume must be True or False, got {resume!r}")
    if checkpoint is None:
        if resume:
            raise ValueError("resume=True goes on from a checkpoint: name its folder with checkpoint=")
        return None
    chosen = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    if not is_whole_number(random_state):
        raise ValueError(
            "what is gone on with must be the same each time it begins: set random_state to a whole number, "
            f"got {random_state!r}"
        )
    try:  # now: in the middle of a fit it would be too late to name another
        Path(chosen.folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"checkpoint={str(chosen.folder)!r} cannot be a folder ({error.strerror}): name another"
        ) from error
    if chosen.files() and not resume:
        raise ValueError(
            f"there is a checkpoint in {str(chosen.folder)!r}: go on from it with resume=True, or name "
            "another folder"
        )
    return chosen


def refuse_callbacks(callbacks: Any) -> None:
    """Raise ValueError for callbacks, whose state is unknown, beside a checkpoint."""
    if callbacks:
        raise ValueError(
            "checkpoint= does not go with callbacks, whose state would not be saved: leave one of them out"
        )


def made_of(estimator: Any, prepared: Prepared) -> dict[str, str]:
    """Return everything that decides what is learned, by name, in words short enough for a message."""
    parts = [part for part in (prepared.train, prepared.valid) if part is not None]
    return {
        **parameters_in_words(estimator),
        **versions(),
        "data": _fingerprint(parts),
        "device": prepared.device.type,
    }


def versions() -> dict[str, str]:
    """Return those of the libraries that decide how a network is trained."""
    return {"metabalance": metadata.version("metabalance"), "torch": str(torch.__version__)}


def parameters_in_words(estimator: Any) -> dict[str, str]:
    """Return the estimator's kind, and its parameters but those that decide nothing that is learned."""
    parameters = estimator.get_params(deep=False).items()
    described = {name: in_words(value) for name, value in parameters if name not in NOT_OF_A_FIT}
    return {"estimator": type(estimator).__name__, **described}


def _fingerprint(parts: list[Part]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        part.describe(digest.update)
    return digest.hexdigest()
