"""Results of many fits kept one by one, so that a run that was killed need not do them again."""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np

from metabalance.estimators.attempts import Attempt
from metabalance.estimators.checkpoints import ABOUT_FILE, Checkpoint
from metabalance.estimators.workers import in_processes
from metabalance.files import write_atomically
from metabalance.seals import seal_json, unseal_json
from metabalance.training import check_same_run

FORMAT = "metabalance-results-of-a-run"

ToJson = Callable[[Any], Any]


@dataclass(frozen=True)
class KeptResults:
    """A folder with a JSON file for every piece of work that is done.

    Parameters
    ----------
    folder : Path
    identity : str
        What tells its run from others, and is in every file.
    to_json, from_json : callables
        What a value is in a file, and back: bit for bit the same.
    """

    folder: Path
    identity: str
    to_json: ToJson
    from_json: ToJson

    @classmethod
    def opened(
        cls, checkpoint: Checkpoint, made_of: Mapping[str, str], to_json: ToJson, from_json: ToJson
    ) -> Self:
        """Return the folder, new or of the same run.

        Raises
        ------
        ValueError
            If the folder cannot be used, or is of another run.
        """
        folder = Path(checkpoint.folder).absolute()  # workers of a cluster may be at home elsewhere
        about = folder / ABOUT_FILE
        if not about.exists():
            content = seal_json({"format": FORMAT, "made_of": dict(made_of)})
            write_atomically(about, json.dumps(content).encode())
        found = _read(about)
        if found.get("format") != FORMAT or not isinstance(found.get("made_of"), dict):
            raise ValueError(f"{str(about)!r} is not of a run of metabalance: name another folder")
        check_same_run(found["made_of"], made_of, about)
        for unfinished in folder.glob(".*.tmp"):  # of processes that were killed while they wrote
            unfinished.unlink(missing_ok=True)
        return cls(folder, joblib.hash(dict(made_of)), to_json, from_json)

    def run(
        self,
        work: Callable[..., Attempt[Any]],
        pieces: Mapping[str, tuple[Any, ...]],
        n_jobs: int | None,
    ) -> Iterator[Attempt[Any]]:
        """Yield what comes of every piece, in their order; those that are kept are not done again.

        Every result is kept by the process that has it, as soon as it is there. Where it cannot be written,
        this warns.

        Parameters
        ----------
        work : callable
            Of the arguments of a piece.
        pieces : mapping of str to tuple
            Arguments by a name that is the same in every run.
        """
        missing = [name for name in pieces if not self._file(name).exists()]
        done = in_processes(
            _do_and_keep,
            [(work, self._file(name), self.identity, self.to_json, *pieces[name]) for name in missing],
            n_jobs,
        )
        missed = set(missing)
        for name in pieces:
            if name not in missed:
                yield self._kept(name)
                continue
            result, complaint = next(done)
            if complaint is not None:
                warnings.warn(f"a result is not kept: {complaint}", UserWarning, stacklevel=2)
            yield result

    def count(self, names: Iterable[str]) -> int:
        """Return how many of these pieces are done."""
        return sum(self._file(name).exists() for name in names)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _kept(self, name: str) -> Attempt[Any]:
        file = self._file(name)
        kept = _read(file)
        if kept.get("run") != self.identity:
            raise ValueError(
                f"{str(file)!r} is the result of a run with other data or parameters: name another folder"
            )
        try:
            value = None if kept["value"] is None else self.from_json(kept["value"])
            return Attempt(value, kept["failure"], tuple(kept["warnings"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(file, error) from error


def _do_and_keep(
    work: Callable[..., Attempt[Any]], file: Path, identity: str, to_json: ToJson, *piece: Any
) -> tuple[Attempt[Any], str | None]:
    """Do it, and return it with the reason why it could not be written, or None."""
    result = work(*piece)
    value = None if result.value is None else to_json(result.value)
    content = {"run": identity, "value": value, "failure": result.failure, "warnings": result.warnings}
    try:
        plain = json.loads(json.dumps(content, default=_plain))
        write_atomically(file, json.dumps(seal_json(plain)).encode())
    except ValueError as error:
        return result, str(error)
    return result, None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from error
    if not isinstance(content, dict):
        raise _damaged(file, "it holds no object")
    try:
        return unseal_json(content)
    except ValueError as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, reason: Any) -> ValueError:
    remedy = "name another folder" if file.name == ABOUT_FILE else "delete it, and it is done again"
    return ValueError(f"{str(file)!r} is damaged ({reason}): {remedy}")
