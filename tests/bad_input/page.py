"""Write the page that says what every mistake is answered with: python -m tests.bad_input.page."""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from tests.bad_input import files, large, tables
from tests.bad_input.case import Case

PAGE = Path(__file__).parents[2] / "docs" / "bad_input.md"
SECTIONS: Mapping[str, Sequence[Case]] = {
    "Features, in `fit`": tables.FEATURES,
    "Labels and groups, in `fit`": tables.LABELS,
    "Rows to predict": tables.PREDICTIONS,
    "Parameters": tables.PARAMETERS,
    "Comparisons": tables.COMPARISONS,
    "Tables on the command line": files.TABLES,
    "Tables larger than memory": large.TABLES,
    "Images": files.IMAGES,
    "Saved models": files.MODELS,
    "Checkpoints": files.CHECKPOINTS,
}
INTRODUCTION = """# What mistakes are answered with

Nothing is lost, and nothing is taken in silence: one error that says what was found and what to do. On the
command line it is one line and exit code 2 (an option's value of the wrong type is answered by the command's
usage, with exit code 2, too). Every row here is a test (`tests/bad_input`), which compares the
message word by word; `python -m tests.bad_input.page` writes this page. Names of folders are left out, and
long messages are cut.
"""


def row_of(case: Case, message: str) -> str:
    """A row of the page."""
    return f"| {case.given} | {message.replace('|', chr(92) + '|')} |"


def make_page() -> str:
    """Return the page as the library now answers."""
    parts = [INTRODUCTION]
    for title, cases in SECTIONS.items():
        parts += [f"## {title}\n", "| given | answer |", "|---|---|"]
        for case in cases:
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                parts.append(row_of(case, case.message(Path(folder))))
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    torch.set_num_threads(1)
    PAGE.write_text(make_page(), encoding="utf-8")
