"""Every mistake is answered as the page says."""

import warnings
from pathlib import Path

import pytest

from tests.bad_input.case import Case
from tests.bad_input.page import INTRODUCTION, PAGE, SECTIONS, row_of

CASES = [
    pytest.param(title, case, id=f"{title}: {case.given}")
    for title, cases in SECTIONS.items()
    for case in cases
]


@pytest.mark.parametrize(("title", "case"), CASES)
def test_the_answer_is_the_one_on_the_page(title: str, case: Case, tmp_path: Path) -> None:
    section = PAGE.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = row_of(case, case.message(tmp_path))
    assert row in section.splitlines()


def test_the_page_has_these_rows_and_no_others() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.startswith(INTRODUCTION)
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| given")]
    assert len(rows) == len(CASES) >= 60
