"""The report of a comparison: figures, and one self-contained HTML page."""

from metabalance.report.calibration import calibration_figure
from metabalance.report.page import render_html, write_report
from metabalance.report.ranking import precision_recall_figure, roc_figure
from metabalance.report.recall import recall_figure
from metabalance.report.saving import save_figure
from metabalance.report.training import training_figure

__all__ = [
    "calibration_figure",
    "precision_recall_figure",
    "recall_figure",
    "render_html",
    "roc_figure",
    "save_figure",
    "training_figure",
    "write_report",
]
