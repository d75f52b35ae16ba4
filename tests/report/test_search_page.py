"""The report of a search: what the heat map and the page show, on made-up scores."""

import re

import pytest
from tests.report.test_page import EVIL, Page

from metabalance import MSMetaBalanceClassifier
from metabalance.report import render_search_html, save_figure, strategies_figure
from metabalance.search.halving import Round
from metabalance.search.results import Entry, as_standings
from metabalance.search.trials import Trial


def searched(scoring: str | None = None) -> MSMetaBalanceClassifier:
    """A search over 2 × 2 pairs and two step sizes; smote was left out, one pair failed, one won."""
    search = MSMetaBalanceClassifier(
        support_samplers=["natural", "smote", "over"], query_samplers=["under", "enn"], scoring=scoring
    )
    means = {
        (0, 0): 0.70,
        (1, 0): 0.74,  # the same pair as 0, with another step
        (2, 0): 0.60,
        (3, 0): 0.50,
        (0, 1): 0.72,
        (1, 1): 0.78,
    }
    pairs = [("natural", "under"), ("natural", "under"), ("natural", "enn"), ("over", "under")]
    entries = [
        Entry(
            candidate,
            {"support_sampler": pairs[candidate][0], "query_sampler": pairs[candidate][1], "inner_lr": lr},
            iteration,
            (6, 18)[iteration],
            tuple(Trial(mean + step, 1.0, 0.1, 10) for step in (-0.01, 0.01)),
            f"diverged {EVIL}" if candidate == 3 else None,
        )
        for (candidate, iteration), mean in means.items()
        for lr in [(0.1, 1.0, 0.1, 0.1)[candidate]]
    ]
    search.standings_ = as_standings(entries)
    search.rounds_ = [Round(4, 6), Round(2, 18)]
    search.left_out_ = {"smote": f"no categories {EVIL}"}
    search.best_params_ = entries[1].params
    search.best_score_ = 0.78
    search.n_splits_, search.rows_drawn_, search.search_seconds_ = 2, 12_345, 3.0
    return search


def cells(search: MSMetaBalanceClassifier) -> dict[tuple[int, int], str]:
    """The text in each column and row of the heat map."""
    (axes,) = strategies_figure(search).axes
    return {tuple(int(place) for place in text.get_position()): text.get_text() for text in axes.texts}


def test_every_pair_has_a_cell_with_its_best_setting() -> None:
    assert cells(searched()) == {
        (0, 0): "0.7800\n± 0.0100",
        (1, 0): "0.6000\n± 0.0100\n6 epochs",
        (0, 1): "failed",
    }


def test_the_figure_names_the_metric() -> None:
    assert strategies_figure(searched()).axes[0].get_title(loc="left") == "Mean of the folds: ROC-AUC"


def test_only_finished_pairs_have_a_colour_and_the_best_a_frame() -> None:
    (axes,) = strategies_figure(searched()).axes
    *faces, frame = axes.patches
    hatched = {patch.get_xy() for patch in faces if patch.get_hatch()}
    assert hatched == {(1, 0), (0, 1)}
    assert frame.get_xy() == (0, 0)
    assert not frame.get_fill()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["natural", "over"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["under", "enn"]


def test_the_figure_can_be_saved(tmp_path) -> None:
    assert save_figure(strategies_figure(searched()), tmp_path / "grid.svg").stat().st_size > 1000


@pytest.mark.parametrize("scoring", [None, "f1"])
def test_the_page_says_what_was_found_and_how_much_to_trust_it(scoring) -> None:
    html = render_search_html(searched(scoring), dataset="made-up", command="metabalance search x")
    text = Page(html).text
    metric = scoring or "ROC-AUC"
    for expected in (
        "Chosen natural/under, inner_lr=1.0",
        f"Its {metric} in the search 0.7800",
        "Candidates 4",
        "12,345",
        "4 trained for at most 6 epochs, the best 2 trained for at most 18 epochs.",
        "is too good",
        "natural under 1.0 0.7800 0.0100 18 chosen",
        "natural under 0.1 0.7200 0.0100 18",
        "natural enn 0.1 0.6000 0.0100 6 discarded early",
        "over under 0.1 – – 6 diverged",
        "Left out smote no categories",
        "metabalance search x",
        "time taken by the search 3.0 s",
    ):
        assert expected in text, expected


def test_the_page_says_where_every_candidate_failed() -> None:
    search = searched()
    sentence = "In the round after the one of 18 epochs every candidate failed, so that this one was"
    assert sentence not in Page(render_search_html(search)).text
    search.rounds_ = [*search.rounds_, Round(1, 54)]
    assert sentence in Page(render_search_html(search)).text


def test_the_page_is_self_contained_and_escapes_text() -> None:
    html = render_search_html(searched(), dataset=EVIL, command=EVIL)
    page = Page(html)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)", html)
    assert page.text.count("alert('x')") >= 4


def test_a_fitted_search_writes_its_report(tmp_path) -> None:
    search = searched()
    search.best_index_ = 1
    path = search.to_html(tmp_path / "new" / "report.html", dataset="mine")
    assert path.read_text(encoding="utf-8") == render_search_html(search, dataset="mine")
