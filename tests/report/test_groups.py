from metabalance import compare
from metabalance.report import render_html
from metabalance.report.groups import group_tables


def test_a_page_shows_every_group_and_escapes_its_name() -> None:
    X = [[float(i % 7), float(i % 5)] for i in range(60)]
    y = [int(i % 7 > 4) for i in range(60)]
    group = ["<b>f</b>" if i % 3 else "m" for i in range(60)]
    comparison = compare(X, y, methods=["logistic-regression"], cv=2, report_by=group)
    accuracy, ranking = group_tables(comparison)
    assert accuracy.columns == ranking.columns == ("<b>f</b>", "m", "Gap")
    frame = comparison.group_frame()
    title, cells = accuracy.rows[0]
    assert title == "Logistic regression"
    assert cells[1] == (f"{frame.iloc[0]['mean', 'm']:.3f}", f"{frame.iloc[0]['se', 'm']:.3f}")
    assert cells[2][0] == f"{frame.iloc[0]['gap', 'mean']:.3f}"
    page = render_html(comparison)
    assert "Balanced accuracy of every group" in page
    assert "&lt;b&gt;f&lt;/b&gt;" in page
    assert "<b>f</b>" not in page


def test_without_groups_there_is_nothing() -> None:
    comparison = compare([[float(i)] for i in range(20)], [0, 1] * 10, methods=["logistic-regression"], cv=2)
    assert group_tables(comparison) == []
    assert "of every group" not in render_html(comparison)
