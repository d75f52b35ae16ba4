"""Make the tables from the results, as Markdown and LaTeX.

    python -m paper.report

writes paper/tables/<table>.md and .tex. What has not been run yet is left out and named.
"""

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paper.chosen import choices_of, scores_of
from paper.layout import Table
from paper.methods import STRATEGIES, TABLES, TASKS, methods_for, rows
from paper.protocols import OVERLAP, PROTOCOLS
from paper.statistics import Estimate, estimate, paired_difference, standard_errors_apart
from paper.store import RESULTS, read_runs, read_scores

HERE = Path(__file__).parent
PREAMBLE = (
    "Made by `python -m paper.report` from the files in paper/results, which hold recipe, seconds, versions\n"
    "and hardware of every run. Differences are of paired runs, with 95 % intervals; those of “sound” are\n"
    "corrected for splits that share rows (Nadeau and Bengio 2003), the others speak of their one split.\n\n"
    "Protocols:\n\n" + "\n".join(f"- **{name}**: {text}" for name, text in PROTOCOLS.items()) + "\n"
)
Published = Mapping[str, Mapping[str, Mapping[str, float | Sequence[float]]]]


def rows_table(root: Path, table: str, task: str, protocol: str, published: Published) -> Table | None:
    """Tables 1 and 7: one row a method; None where nothing has been run."""
    names = list(TABLES[table])
    scores = {name: scores_of(root, task, protocol, name) for name in names}
    scores = {name: of_row for name, of_row in scores.items() if of_row}
    if not scores:
        return None
    about = _about(root, task, protocol, methods_for(next(iter(scores)))[0])
    naive = scores_of(root, task, protocol, "naive")
    ablation = scores_of(root, task, protocol, "no-adaptation")
    theirs = published.get(table, {}).get(task, {})
    body = []
    for name, of_row in scores.items():
        ours = estimate(of_row.values())
        cells = [rows()[name]["title"], _shown(ours), str(ours.runs)]
        cells += _beside(ours, theirs.get(name)) if theirs else []
        cells += [_paired(of_row, naive, protocol), _paired(of_row, ablation, protocol)]
        body.append(cells)
    heads = ["method", "ROC-AUC", "runs"] + (["paper", "difference in s. e."] if theirs else [])
    heads += ["− naive (95 %)", "− no adaptation (95 %)"]
    absent = [name for name in names if name not in scores]
    note = f" Not run: {', '.join(absent)}." if absent else ""
    return Table(f"{_caption(table, about)} Mean ± standard error over runs.{note}", heads, body)


def grid_table(root: Path, task: str, protocol: str, errors: bool) -> Table | None:
    """Tables 2 and 6: support strategies down, query strategies across, without adaptation below."""
    found: dict[tuple[str, str], Estimate] = {}
    for support in (*STRATEGIES, None):
        for query in STRATEGIES:
            method = f"grid/{support}-{query}" if support else f"grid-no-adaptation/{query}"
            runs = read_scores(root, task, protocol, method)
            if runs:
                key = support or "no adaptation", query
                found[key] = estimate([scores["meta"]["test_auc"] for scores in runs.values()])
    if not found:
        return None
    best = max(found, key=lambda key: found[key].mean)

    def cell(key: tuple[str, str]) -> str:
        if key not in found:
            return ""
        text = f"{found[key].error:.4f}" if errors else f"{found[key].mean:.4f}"
        return f"**{text}**" if key == best and not errors else text

    body = [
        [support, *(cell((support, query)) for query in STRATEGIES)]
        for support in (*STRATEGIES, "no adaptation")
    ]
    runs = max(found[key].runs for key in found)
    what = "Standard errors" if errors else "Mean ROC-AUC"
    support, query = next(iter(found))
    method = f"grid-no-adaptation/{query}" if support == "no adaptation" else f"grid/{support}-{query}"
    about = _about(root, task, protocol, method)
    caption = f"{_caption('table6' if errors else 'table2', about)} {what} over {runs} runs."
    return Table(caption, ["support ↓ query →", *STRATEGIES], body)


def _about(root: Path, task: str, protocol: str, method: str) -> Mapping[str, Any]:
    """What is kept of one run: the data, the protocol, the machine."""
    return next(iter(read_runs(root, task, protocol, method).values()))


def _caption(table: str, run: Mapping[str, Any]) -> str:
    data = run["data"]
    return (
        f"Table {table.removeprefix('table')}, {data['title']}, {data['rows']:,} rows with "
        f"{data['positives']:,} positives, protocol “{run['protocol']}”."
    )


def _shown(found: Estimate) -> str:
    return f"{found.mean:.4f} ± {found.error:.4f}"


def _beside(ours: Estimate, theirs: float | Sequence[float] | None) -> list[str]:
    """The paper's figure and the difference in standard errors."""
    if theirs is None:
        return ["", ""]
    mean, error = (theirs, 0.0) if isinstance(theirs, int | float) else theirs
    return [f"{mean:.4f} ± {error:.4f}", f"{standard_errors_apart(ours, mean, error):+.1f}"]


def _paired(scores: Mapping[int, float], reference: Mapping[int, float], protocol: str) -> str:
    if not reference or scores == reference:
        return ""
    mean, half = paired_difference(scores, reference, OVERLAP[protocol])
    return f"{mean:+.4f} ± {half:.4f}".replace("-", "−")


def make_tables(root: Path, published: Published) -> dict[str, list[Table]]:
    """All tables that there are results for."""
    made: dict[str, list[Table | None]] = {}
    for task in (*TASKS, "fraud-thinned"):
        for protocol in PROTOCOLS:
            for table in TABLES:
                made.setdefault(table, []).append(rows_table(root, table, task, protocol, published))
            for table, errors in (("table2", False), ("table6", True)):
                made.setdefault(table, []).append(grid_table(root, task, protocol, errors))
    return {name: [table for table in tables if table is not None] for name, tables in sorted(made.items())}


def main() -> None:
    """Write the tables and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=HERE / "tables")
    arguments = parser.parse_args()
    published: dict[str, Any] = tomllib.loads((HERE / "published.toml").read_text(encoding="utf-8"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, tables in make_tables(arguments.results, published).items():
        if tables:
            text = "\n".join([PREAMBLE, *(table.to_markdown() for table in tables)])
            (arguments.out / f"{name}.md").write_text(text, encoding="utf-8")
            latex = "\n".join(table.to_latex() for table in tables)
            (arguments.out / f"{name}.tex").write_text(latex, encoding="utf-8")
            print(text)
    for task in TASKS:
        for family in ("grid", "tuning"):
            counts = choices_of(arguments.results, task, "sound", family)
            if counts:
                print(f"{task}: {family} chosen by validation: {counts}")


if __name__ == "__main__":
    main()
