"""Predict at θ or at θ′? Networks of several inner steps, each scored at θ′ reached in many ways.

    python -m paper.run adaptation --data-root DATA

Of CIFAR-10 the majority classes are two that Table 3 does not have; of scikit-learn's digits four, once with
BatchNorm and once with GroupNorm.
Results go to paper/results/<cifar10-cpu|digits|digits-group>-study/severe/inner-lr-<γ>/<seed>.json.
"""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from metabalance.datasets import ImageSet, load_cifar10
from metabalance.nn import CropAndFlip
from metabalance.training import resolve_device
from paper.images.adaptation import STUDIED
from paper.images.options import parse, parser_of
from paper.images.source import Images
from paper.images.units import run_missing, unit_of
from paper.store import fail, make_folder

INNER_LRS = {"digits": (0.0, 0.01, 0.1, 0.3), "digits-group": (0.0, 0.01, 0.1, 0.3), "cifar10": (0.0, 0.1)}
SEEDS = {"digits": (4, 5, 6, 7), "digits-group": (4, 5, 6, 7), "cifar10": (4, 5)}


def digits() -> Images:
    """scikit-learn's digits, half for training and half for testing, with values up to 255."""
    bunch = load_digits()
    pixels = torch.from_numpy((bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    classes = tuple(map(str, bunch.target_names))
    parts = train_test_split(np.arange(len(pixels)), test_size=0.5, stratify=bunch.target, random_state=0)
    train_rows, test_rows = parts
    whole = ImageSet("digits", pixels, bunch.target.astype(np.int64), classes)
    return Images(whole.take(train_rows), whole.take(test_rows), CropAndFlip(padding=1, flip=False))


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Run the missing runs, some at a time."""
    parser = parser_of(__doc__)
    parser.add_argument("--tasks", nargs="+", choices=INNER_LRS, default=list(INNER_LRS))
    arguments = parse(parser, arguments_given)
    try:
        make_folder(arguments.results, "--results")
        device = resolve_device(arguments.device)
        for task in arguments.tasks:
            if task.startswith("digits"):
                source, scale = digits(), task
            else:
                parts = (load_cifar10(arguments.data_root, part=part) for part in ("train", "test"))
                source, scale = Images(*parts), "cpu"
            name = f"{task}-study" if task.startswith("digits") else "cifar10-cpu-study"
            units = [
                unit_of(name, scale, "severe", f"inner-lr-{step:g}", seed, {"kind": "meta", "inner_lr": step})
                for seed in SEEDS[task]
                for step in INNER_LRS[task]
            ]
            run_missing(units, source, arguments.results, device, arguments.jobs, STUDIED)
    except (OSError, ValueError) as error:
        fail(error)


if __name__ == "__main__":
    main()
