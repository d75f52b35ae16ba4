"""Whatever a file holds, and whatever is asked for: exit code 0 or 2, and never a traceback."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cli.conftest import Run

pytestmark = pytest.mark.filterwarnings("default")  # the command prints them in one line

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
CELLS = st.one_of(
    st.sampled_from(["", "nan", "inf", "-1e39", "true", "2020-01-01", '"', "'", "ü", "\x00", "1,5"]),
    st.integers(-3, 3).map(str),
    st.text(max_size=4),
)
COMMANDS = ("compare", "fit", "search", "predict", "strategies", "--help", "--version", "nonsense")
OPTIONS = (
    "--target",
    "--cv",
    "--methods",
    "--report",
    "--out",
    "--epochs",
    "--jobs",
    "--decision",
    "--prior",
)
FLAGS = ("--resume", "--checkpoint", "--balance-by", "--drop", "--", "y", "2", "naive", "-1", "0", "recall=9")
WORDS = st.one_of(st.sampled_from([*OPTIONS, *FLAGS]), st.text(max_size=5))


def check(result) -> None:
    """No exception gets through ``run``; what is left is the exit code, and that errors are told."""
    assert result.exit_code in (0, 2)
    assert "Traceback" not in result.stderr
    assert bool(result.stderr.strip()) or result.exit_code == 0


@FUZZ
@given(content=st.binary(max_size=400), ending=st.sampled_from(["csv", "csv.gz", "tsv", "parquet", "npz"]))
def test_files_of_any_bytes(run: Run, tmp_path_factory, content, ending) -> None:
    file = tmp_path_factory.mktemp("bytes") / f"data.{ending}"
    file.write_bytes(content)
    check(run("compare", file, "--target", "y", "--methods", "logistic-regression", "--cv", 2, "--jobs", 1))


@FUZZ
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, st.sampled_from(["0", "1", "2", ""])), min_size=1, max_size=24),
    head=st.sampled_from(["a,b,y", "a,a,y", "a;b;y", ",b,y", "a,b", "y"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_tables_of_any_cells(run: Run, tmp_path_factory, rows, head, mark) -> None:
    file = tmp_path_factory.mktemp("cells") / "data.csv"
    text = mark + "\n".join([head, *(",".join(row) for row in rows)])
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    check(run("compare", file, "--target", "y", "--methods", "logistic-regression", "--cv", 2, "--jobs", 1))


@FUZZ
@given(command=st.sampled_from(COMMANDS), words=st.lists(WORDS, max_size=6))
def test_any_arguments(run: Run, tmp_path_factory, command, words) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("arguments"))
        check(run(command, *words))


@FUZZ
@given(place=st.floats(0, 1), byte=st.integers(0, 255), which=st.sampled_from(["model.json", "weights"]))
def test_models_with_any_byte_changed(
    run: Run, files: Path, model: Path, tmp_path_factory, place, byte, which
) -> None:
    folder = tmp_path_factory.mktemp("models") / "model"
    shutil.copytree(model, folder)
    file = folder / which if which == "model.json" else next(folder.glob("weights-*"))
    content = bytearray(file.read_bytes())
    content[int(place * (len(content) - 1))] = byte
    file.write_bytes(content)
    check(run("predict", folder, files / "people.csv", "--out", folder / "scored.csv"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**30) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@FUZZ
@given(value=JSON, data=st.data())
def test_models_with_any_part_replaced(
    run: Run, files: Path, model: Path, tmp_path_factory, value, data
) -> None:
    folder = tmp_path_factory.mktemp("models") / "model"
    shutil.copytree(model, folder)
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    part = data.draw(st.sampled_from(sorted(description)))
    inner = description[part]
    if isinstance(inner, dict) and inner and data.draw(st.booleans()):
        inner[data.draw(st.sampled_from(sorted(inner)))] = value
    else:
        description[part] = value
    (folder / "model.json").write_text(json.dumps(description), encoding="utf-8")
    check(run("predict", folder, files / "people.csv", "--out", folder / "scored.csv"))
