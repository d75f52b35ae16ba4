"""Make the tables from the results, as Markdown and LaTeX.

    python -m paper.report

writes paper/tables/<table>.md and .tex, and the figures as PNG and SVG. What has not been run yet is left out
and named.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from metabalance.search import PAPER_STRATEGIES
from paper.chosen import choices_of, chosen_on_test_rows, diverged, scores_of
from paper.faces.report import FACE_PREAMBLE, FACE_SCALES, face_tables
from paper.faces.run import FOLDER
from paper.images.figures import write_figures
from paper.images.report import IMAGE_PREAMBLE, IMAGE_TABLES, SCALES, image_tables
from paper.images.study_tables import adaptation_tables, tuning_tables
from paper.images.units import load_config
from paper.layout import Table
from paper.methods import TABLES, TASKS, methods_for, rows
from paper.protocols import OVERLAP, PROTOCOLS
from paper.statistics import Estimate, estimate, paired_difference, standard_errors_apart
from paper.store import RESULTS, fail, make_folder, read_runs

HERE = Path(__file__).parent
PREAMBLE = (
    "Made by `python -m paper.report` from the files in paper/results, which hold recipe, seconds, versions\n"
    "and hardware of every run. Standard errors are those over the runs. Differences are of paired runs,\n"
    "with 95 % intervals; those of “sound” are corrected for splits that share rows (Nadeau and Bengio\n"
    "2003), the others speak of their one split. A row marked † is the best of its kind by the mean on the\n"
    "test rows, which flatters it, so that its differences have no interval.\n\n"
    "Protocols:\n\n" + "\n".join(f"- **{name}**: {text}" for name, text in PROTOCOLS.items()) + "\n"
)
PREAMBLES = {**dict.fromkeys(IMAGE_TABLES, IMAGE_PREAMBLE), "table5": FACE_PREAMBLE}
# table → task → row (or "support-query") → [ROC-AUC, standard error]; of faces [total, male, female]
Published = Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]


def rows_table(root: Path, table: str, task: str, protocol: str, published: Published) -> Table | None:
    """Tables 1 and 7: one row a method; None where nothing has been run."""
    names = list(TABLES[table])
    scores = {name: scores_of(root, task, protocol, name) for name in names}
    scores = {name: of_row for name, of_row in scores.items() if of_row}
    if not scores:
        return None
    data = _data_of(root, task, protocol, [method for name in scores for method in methods_for(name)])
    naive = scores_of(root, task, protocol, "naive")
    ablation = scores_of(root, task, protocol, "no-adaptation")
    theirs = published.get(table, {}).get(task.removesuffix("-thinned"), {})
    body = []
    for name, of_row in scores.items():
        ours, flattered = estimate(of_row.values()), chosen_on_test_rows(name, protocol)
        failures = diverged(root, task, protocol, name)
        runs = f"{ours.runs}{', all alike' if ours.error < 1e-9 else ''}"
        runs += f" ({failures} diverged)" if failures else ""
        cells = [rows()[name]["title"] + (" †" if flattered else ""), _shown(ours), runs]
        cells += _beside(ours, theirs.get(name)) if theirs else []
        cells.append("" if name == "naive" else _paired(of_row, naive, protocol, flattered))
        cells.append("" if name == "no-adaptation" else _paired(of_row, ablation, protocol, flattered))
        body.append(cells)
    heads = ["method", "ROC-AUC", "runs"] + (["paper", "difference in s. e."] if theirs else [])
    heads += ["− naive (95 %)", "− no adaptation (95 %)"]
    absent = [name for name in names if name not in scores]
    note = f" Not run: {', '.join(absent)}." if absent else ""
    return Table(f"{_caption(table, data, protocol)} Mean ± standard error over runs.{note}", heads, body)


def grid_table(root: Path, task: str, protocol: str, published: Published, errors: bool) -> Table | None:
    """Tables 2 and 6: support strategies down, query strategies across, without adaptation below."""
    found: dict[tuple[str, str], Estimate] = {}
    methods = []
    for support in (*PAPER_STRATEGIES, "no adaptation"):
        for query in PAPER_STRATEGIES:
            own = support != "no adaptation"
            method = f"grid/{support}-{query}" if own else f"grid-no-adaptation/{query}"
            runs = [run for run in read_runs(root, task, protocol, method).values() if "failure" not in run]
            if runs:
                methods.append(method)
                found[support, query] = estimate([run["scores"]["meta"]["test_auc"] for run in runs])
    if not found:
        return None
    best = max(found, key=lambda key: found[key].mean)
    theirs = published.get("table2", {}).get(task.removesuffix("-thinned"), {})

    def cell(key: tuple[str, str]) -> str:
        if key not in found:
            return ""
        text = f"{found[key].error:.4f}" if errors else f"{found[key].mean:.4f}"
        text = f"**{text}**" if key == best and not errors else text
        paper = theirs.get("-".join(key))
        if paper is None:
            return text
        return text + (f" ({paper[1]:.4f})" if errors else " ({}, {})".format(*_beside(found[key], paper)))

    body = [
        [support, *(cell((support, query)) for query in PAPER_STRATEGIES)]
        for support in (*PAPER_STRATEGIES, "no adaptation")
    ]
    runs = max(found[key].runs for key in found)
    what = "Standard errors" if errors else "Mean ROC-AUC"
    what += f" over {runs} runs" + (" (and the paper's)." if theirs else ".")
    caption = _caption("table6" if errors else "table2", _data_of(root, task, protocol, methods), protocol)
    return Table(f"{caption} {what}", ["support ↓ query →", *PAPER_STRATEGIES], body)


def epochs_table(root: Path, task: str) -> Table | None:
    """What the choice of the epoch does to the rows of Table 1."""
    columns = {
        "paper: last epoch": ("paper", "test_auc"),
        "paper: best epoch on the test rows": ("paper", "oracle_auc"),
        "sound: last epoch": ("sound", "last_test_auc"),
        "sound: best epoch on the validation rows": ("sound", "test_auc"),
    }
    body, methods = [], []
    for name in TABLES["table1"]:
        if "among" in rows()[name]:
            continue
        scores = [scores_of(root, task, protocol, name, what) for protocol, what in columns.values()]
        if all(scores):
            methods += methods_for(name)
            body.append([rows()[name]["title"], *(_shown(estimate(each.values())) for each in scores)])
    if not body:
        return None
    data = _data_of(root, task, "paper", methods)
    caption = (
        f"Epochs, {data['title']}. Mean ROC-AUC ± standard error over runs. The best epoch on the test rows "
        "is no result but an upper bound: how good a row would be had its training ended in time."
    )
    return Table(caption, ["method", *columns], body)


def _data_of(root: Path, task: str, protocol: str, methods: Collection[str]) -> Mapping[str, Any]:
    """The data that all runs of these methods were made from."""
    of_all = [run["data"] for name in methods for run in read_runs(root, task, protocol, name).values()]
    data: Mapping[str, Any] = of_all[0]
    other = next((each for each in of_all if each != data), None)
    if other is not None:
        raise ValueError(
            f"the {task} results under {protocol} are of different data, {data} and {other}: delete one kind"
        )
    return data


def _caption(table: str, data: Mapping[str, Any], protocol: str) -> str:
    return (
        f"Table {table.removeprefix('table')}, {data['title']}, {data['rows']:,} rows with "
        f"{data['positives']:,} positives, protocol “{protocol}”."
    )


def _shown(found: Estimate) -> str:
    return f"{found.mean:.4f}" + (f" ± {found.error:.4f}" if found.runs > 1 else "")


def _beside(ours: Estimate, theirs: Sequence[float] | None) -> list[str]:
    """The paper's figure and the difference in standard errors."""
    if theirs is None:
        return ["", ""]
    mean, error = theirs
    return [f"{mean:.4f} ± {error:.4f}", f"{standard_errors_apart(ours, mean, error):+.1f}"]


def _paired(
    scores: Mapping[int, float], reference: Mapping[int, float], protocol: str, flattered: bool
) -> str:
    if len(set(scores) & set(reference)) < 2:
        return ""
    mean, half = paired_difference(scores, reference, OVERLAP[protocol])
    return (f"{mean:+.4f}" + ("" if flattered else f" ± {half:.4f}")).replace("-", "−")


def read_published(text: str) -> Published:
    """Read the paper's figures, which someone who has it enters.

    Raises
    ------
    ValueError
        If a table, task or row is unknown, or a figure is not [ROC-AUC, standard error].
    """
    try:
        published: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"published.toml: {error}") from error
    pairs = [f"{support}-{query}" for support in PAPER_STRATEGIES for query in PAPER_STRATEGIES]
    faces = load_config("rows", FOLDER)
    known: Mapping[str, Collection[str]] = {**TABLES, "table2": pairs, "table5": faces}
    for table, tasks in published.items():
        for task, figures in _entries(tasks, table):
            for name, figure in _entries(figures, f"{table}.{task}"):
                of_faces = table == "table5"
                if name not in known.get(table, ()) or task not in (("celeba",) if of_faces else TASKS):
                    raise ValueError(f"published.toml: there is no {table}.{task}.{name}")
                meaning = ["total", "male", "female"] if of_faces else ["AUC", "standard error"]
                fits = isinstance(figure, list) and len(figure) == len(meaning)
                if not (fits and all(map(_is_number, figure))):
                    raise ValueError(
                        f"published.toml: {table}.{task}.{name} must be [{', '.join(meaning)}], got {figure}"
                    )
    return published


def _entries(found: Any, name: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(found, dict):
        raise ValueError(
            f"published.toml: {name} must be a table of figures, such as [table1.loan], got {found}"
        )
    return found.items()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def make_tables(root: Path, published: Published) -> dict[str, list[Table]]:
    """All tables that there are results for."""
    made: dict[str, list[Table | None]] = {}
    for task in (*TASKS, "fraud-thinned"):
        made.setdefault("epochs", []).append(epochs_table(root, task))
        for protocol in PROTOCOLS:
            for table in TABLES:
                made.setdefault(table, []).append(rows_table(root, table, task, protocol, published))
            for table, errors in (("table2", False), ("table6", True)):
                made.setdefault(table, []).append(grid_table(root, task, protocol, published, errors))
    return {name: [table for table in tables if table is not None] for name, tables in sorted(made.items())}


def make_face_tables(root: Path, published: Published) -> dict[str, list[Table]]:
    """Table 5 of the scales that there are results for, the largest first."""
    theirs = published.get("table5", {}).get("celeba", {})
    made: dict[str, list[Table]] = {}
    for scale in FACE_SCALES:
        for name, tables in face_tables(root, scale, theirs).items():
            made.setdefault(name, []).extend(tables)
    return made


def make_image_tables(root: Path) -> dict[str, list[Table]]:
    """All tables of the image task that there are results for, the largest scale first."""
    made: dict[str, list[Table]] = {}
    for scale in SCALES:
        for name, tables in image_tables(root, scale).items():
            made.setdefault(name, []).extend(tables)
    return made | {"adaptation": adaptation_tables(root), "tuning": tuning_tables(root)}


def as_files(tables: Mapping[str, Sequence[Table]]) -> dict[str, str]:
    """The text of every file, by name; none for a table without results."""
    files = {}
    for name, of_name in tables.items():
        if of_name:
            preamble = PREAMBLES.get(name, PREAMBLE)
            files[f"{name}.md"] = "\n".join([preamble, *(table.to_markdown() for table in of_name)])
            files[f"{name}.tex"] = "\n".join(table.to_latex() for table in of_name)
    return files


def main() -> None:
    """Write the tables and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=HERE / "tables")
    arguments = parser.parse_args()
    try:
        published = read_published((HERE / "published.toml").read_text(encoding="utf-8"))
        made = make_tables(arguments.results, published) | make_image_tables(arguments.results)
        made |= make_face_tables(arguments.results, published)
        files = as_files(made)
        if not files:
            raise ValueError(f"--results {arguments.results} has no results of runs: run paper.run first")
        make_folder(arguments.out, "--out")
        for name, text in files.items():
            (arguments.out / name).write_text(text, encoding="utf-8")
        for scale in SCALES:
            write_figures(arguments.results, f"cifar10-{scale}", arguments.out)
    except (OSError, ValueError) as error:
        fail(error)
    lines = [text for name, text in files.items() if name.endswith(".md")]
    for task in TASKS:
        for family in ("grid", "tuning"):
            counts = choices_of(arguments.results, task, family)
            lines += [f"{task}: {family} chosen by validation: {counts}"] if counts else []
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these signs still shows the numbers
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # the reader has seen enough, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
