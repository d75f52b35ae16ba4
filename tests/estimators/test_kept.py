"""Results of a run of many fits, kept one by one."""

import json

import numpy as np
import pytest

from metabalance import Checkpoint
from metabalance.estimators.attempts import Attempt
from metabalance.estimators.kept import KeptResults
from metabalance.seals import seal_json

MADE_OF = {"lr": "0.1", "data": "abc"}


def opened(folder, made_of=MADE_OF) -> KeptResults:
    return KeptResults.opened(Checkpoint(folder), made_of, _to_json, _from_json)


def _to_json(value):
    return {"number": value}


def _from_json(stored):
    return stored["number"]


def double(number: float) -> Attempt[float]:
    return Attempt(np.float64(2 * number), None, (f"{number} was doubled",))


def fail(number: float) -> Attempt[float]:
    return Attempt(None, f"{number} cannot be doubled", ())


PIECES = {name: (number,) for name, number in (("a", 0.1), ("b", 2.0), ("c", 1 / 3))}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_is_kept_is_not_done_again(tmp_path, n_jobs) -> None:
    results = opened(tmp_path / "run")
    first = list(results.run(double, PIECES, n_jobs))
    assert [each.value for each in first] == [0.2, 4.0, 2 / 3]
    (tmp_path / "run" / "b.json").unlink()
    again = opened(tmp_path / "run")
    assert again.count(PIECES) == 2
    second = list(again.run(fail, {**PIECES, "d": (5.0,)}, n_jobs))
    assert second == [first[0], Attempt(None, "2.0 cannot be doubled", ()), first[2], *fail_of(5.0)]
    assert list(opened(tmp_path / "run").run(double, {"b": (2.0,)}, n_jobs)) == [*fail_of(2.0)]


def fail_of(number: float) -> list[Attempt[float]]:
    return [fail(number)]


def test_another_run_is_refused(tmp_path) -> None:
    opened(tmp_path)
    with pytest.raises(ValueError, match=r"of a run with other lr \(lr was '0.1', now '0.2'\)"):
        opened(tmp_path, {**MADE_OF, "lr": "0.2"})
    (tmp_path / "run.json").write_text(json.dumps(seal_json({"format": "something else"})))
    with pytest.raises(ValueError, match="is not of a run of metabalance"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"value": 1}', '{"value": {}, "failure": null, "warnings": []}']
)
def test_damaged_files_are_named(tmp_path, content) -> None:
    list(opened(tmp_path).run(double, PIECES, 1))
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(ValueError, match=r"b\.json' is damaged .*delete it, and it is done again"):
        list(opened(tmp_path).run(double, PIECES, 1))
    (tmp_path / "run.json").write_text(content[:1])
    with pytest.raises(ValueError, match=r"run\.json' is damaged"):
        opened(tmp_path)


def test_a_full_disk_ends_no_run(tmp_path, monkeypatch) -> None:
    results = opened(tmp_path)

    def full(descriptor) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("metabalance.files.os.fsync", full)
        with pytest.warns(UserWarning, match="a result is not kept: cannot write .*No space left"):
            found = list(results.run(double, PIECES, 1))
    assert [each.value for each in found] == [0.2, 4.0, 2 / 3]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.json"]


def test_numpy_values_become_json(tmp_path) -> None:
    list(opened(tmp_path).run(double, PIECES, 1))
    assert json.loads((tmp_path / "c.json").read_text())["value"] == {"number": 2 / 3}


def test_results_of_another_run_are_refused_though_the_description_is_gone(tmp_path) -> None:
    kept = opened(tmp_path)
    list(kept.run(double, {"one": (1,)}, n_jobs=1))
    (tmp_path / "run.json").unlink()
    other = opened(tmp_path, {**MADE_OF, "data": "others"})
    with pytest.raises(
        ValueError, match=r"one\.json' is the result of a run with other data or parameters: name"
    ):
        list(other.run(double, {"one": (1,)}, n_jobs=1))


def test_an_edited_result_is_noticed(tmp_path) -> None:
    kept = opened(tmp_path)
    list(kept.run(double, {"one": (1,)}, n_jobs=1))
    content = json.loads((tmp_path / "one.json").read_text())
    (tmp_path / "one.json").write_text(json.dumps({**content, "value": 3}))
    with pytest.raises(
        ValueError, match=r"one\.json' is damaged \(it is not what was written\): delete it, and it"
    ):
        list(opened(tmp_path).run(double, {"one": (1,)}, n_jobs=1))
