"""The reports of a comparison and of a search: figures, and one self-contained HTML page each.

Examples
--------
>>> from sklearn.datasets import make_classification
>>> import metabalance as mb
>>> X, y = make_classification(200, weights=[0.9], random_state=0)
>>> methods = ["logistic-regression", "logistic-regression:balanced"]
>>> comparison = mb.compare(X, y, methods=methods, cv=2)
>>> figure = roc_figure(comparison)
>>> len(figure.axes[0].lines)
2

``save_figure(figure, "roc.svg")`` writes it; ``comparison.to_html("report.html")`` writes all of them.
"""

from metabalance.report.calibration import calibration_figure
from metabalance.report.page import render_html, write_report
from metabalance.report.ranking import precision_recall_figure, roc_figure
from metabalance.report.recall import recall_figure
from metabalance.report.saving import save_figure
from metabalance.report.search_page import render_search_html, write_search_report
from metabalance.report.strategies import strategies_figure
from metabalance.report.training import training_figure

__all__ = [
    "calibration_figure",
    "precision_recall_figure",
    "recall_figure",
    "render_html",
    "render_search_html",
    "roc_figure",
    "save_figure",
    "strategies_figure",
    "training_figure",
    "write_report",
    "write_search_report",
]
