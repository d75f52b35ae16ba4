"""Save figures of a comparison's results file as PNG.

python -m benchmarks.pictures RESULTS --out FOLDER
"""

import argparse
from pathlib import Path

from metabalance import Comparison
from metabalance.report import roc_figure, save_figure, training_figure

FIGURES = {"training": training_figure, "roc": roc_figure}


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    comparison = Comparison.from_json(arguments.results)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, figure in FIGURES.items():
        save_figure(figure(comparison), arguments.out / f"{name}.png")


if __name__ == "__main__":
    main()
