"""Save the training curves of a comparison's results file as PNG, for the README.

python -m benchmarks.pictures RESULTS --out FOLDER
"""

import argparse
from pathlib import Path

from metabalance import Comparison
from metabalance.report import save_figure, training_figure


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    comparison = Comparison.from_json(arguments.results)
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_figure(training_figure(comparison), arguments.out / "training.png")


if __name__ == "__main__":
    main()
