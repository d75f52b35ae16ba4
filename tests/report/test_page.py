import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from metabalance.evaluation.comparison import Comparison, MethodInfo
from metabalance.report import render_html, write_report

Make = Callable[..., Comparison]
VOID = {"meta", "br", "img", "link", "input", "hr"}
EVIL = "<script>alert('x')</script>&"


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def plain(make_comparison: Make) -> Comparison:
    return make_comparison(3)


@pytest.fixture(scope="module")
def html(plain: Comparison) -> str:
    return render_html(plain)


def test_the_page_states_what_was_compared_and_how(make_comparison: Make) -> None:
    comparison = make_comparison(
        3,
        n_splits=3,
        n_seeds=2,
        skipped={"adasyn": "class yes has 2 rows"},
        settings={
            "prior": "Test parts are balanced.",
            "budget": "Every network draws 640 rows.",
            "early_stopping": "Ten epochs of patience.",
            "cv": "stratified",
            "network": {},
        },
    )
    text = Page(render_html(comparison)).text
    for expected in (
        "made-up",
        "3 methods compared",
        "no 171 · yes 68",
        "2.5 : 1",
        "3 splits, each with 2 seeds . Test parts are balanced. Every network draws 640 rows. Ten epochs",
        "about finding yes , the rarer class (class 1).",
        "Not run adasyn class yes has 2 rows",
        "description 2",
        "metabalance compare made-up --target class",
        "cv stratified",
        "metabalance 0.1.0",
        "time taken 12 s",
        "arXiv:2106.09643",
    ):
        assert expected.replace(" .", ".") in text.replace(" .", "."), expected
    assert "network {}" not in text


def test_the_prior_of_the_metrics_is_always_stated(html: str) -> None:
    assert "The test parts keep the class frequencies of the data." in Page(html).text


def test_the_page_asks_nothing_of_the_network(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "image"} & set(page.tags)
    links = [value for name, value in page.attributes if name in {"src", "href", "xlink:href"}]
    assert links
    assert all(value is not None and value.startswith("#") for value in links)
    assert not re.search(r"@import|url\((?!#)", html)


def test_ids_do_not_repeat_with_different_meanings(html: str) -> None:
    definitions: dict[str, str] = {}
    for match in re.finditer(r'<(path|clipPath) id="([^"]+)"(.*?)(?:/>|</clipPath>)', html, re.DOTALL):
        assert definitions.setdefault(match[2], match[3]) == match[3]
    assert definitions
    others = re.findall(r'<(?:g|svg|div|figure)[^>]* id="([^"]+)"', html)
    assert len(others) == len(set(others))


def test_whatever_users_name_is_escaped(make_comparison: Make) -> None:
    comparison = make_comparison(
        2,
        (EVIL, f"{EVIL} too"),
        dataset=EVIL,
        skipped={EVIL: EVIL},
        settings={EVIL: EVIL, "budget": EVIL, "nested": {EVIL: [EVIL]}},
        environment={EVIL: EVIL},
        command=EVIL,
    )
    methods = tuple(MethodInfo(method.name, EVIL, method.family, EVIL) for method in comparison.methods)
    page = Page(render_html(replace(comparison, methods=methods)))
    assert "script" not in page.tags
    assert page.text.count("alert('x')") >= 10


def test_the_best_is_bold_and_the_close_are_marked(make_comparison: Make) -> None:
    comparison = make_comparison(3, n_splits=2)
    # Best: 0.90 ± 0.02. Within one standard error: 0.89. Beyond: 0.80.
    values = {"method-0": (0.88, 0.92), "method-1": (0.89, 0.89), "method-2": (0.8, 0.8)}
    results = tuple(
        replace(result, metrics={**result.metrics, "roc_auc": values[result.method][result.split]})
        for result in comparison.results
    )
    html = render_html(replace(comparison, results=results))
    classes = {
        cells[1]: cells[0]
        for cells in re.findall(r'<td class="(\w*)">(0\.\d{3})<small>± 0\.0[02]0</small></td>', html)
    }
    assert classes["0.900"] == "best"
    assert classes["0.890"] == "close"
    assert classes["0.800"] == ""


def test_rivals_alone_have_no_training_curves(make_comparison: Make) -> None:
    text = Page(render_html(make_comparison(2, families=("rival",)))).text
    assert "No training curves: no network was run." in text


def test_many_classes_are_cut_short_in_the_header(make_comparison: Make) -> None:
    text = Page(render_html(make_comparison(1, tuple(f"c{i}" for i in range(25)), n_splits=1))).text
    assert "and 5 more" in text


def test_a_comparison_read_back_writes_the_same_page(tmp_path: Path, plain: Comparison, html: str) -> None:
    restored = Comparison.from_json(plain.to_json(tmp_path / "results.json"))
    path = write_report(restored, tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == html
