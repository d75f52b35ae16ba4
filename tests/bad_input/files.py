"""Files and folders that cannot be used, on the command line and in Python."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metabalance import MetaBalanceClassifier, NeuralClassifier
from metabalance.datasets import load_image_arrays, load_image_folder
from tests.bad_input.case import Case, command, fitted, net, rows

X, y = rows()
HEAD = "a,b,y\n"
BODY = "".join(f"{a:.3f},{b:.3f},{label}\n" for (a, b, *_), label in zip(X, y, strict=True))


def compare(folder: Path, content: str | bytes, *options: Any, name: str = "data.csv") -> None:
    """Write a file and compare on it."""
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    command("compare", file, *(options or ("--target", "y")))


def images(folder: Path, *classes: str, broken: bool = False) -> Path:
    """Write folders of small images."""
    for number, name in enumerate(classes):
        (folder / name).mkdir()
        for image in range(4):
            Image.new("RGB", (8, 8), (40 * number, 9 * image, 0)).save(folder / name / f"{image}.png")
    if broken:
        (folder / classes[0] / "4.png").write_bytes(b"\x89PNG, and no more")
    return folder


def saved(folder: Path) -> Path:
    """Save a model."""
    fitted().save(folder / "model")
    return folder / "model"


def damaged(folder: Path, old: str, new: str) -> Path:
    """Save a model and change its description."""
    file = saved(folder) / "model.json"
    file.write_text(file.read_text().replace(old, new, 1))
    return file.parent


def cut_weights(folder: Path) -> Path:
    """Save a model and cut its weights short."""
    (file,) = saved(folder).glob("weights-*")
    file.write_bytes(file.read_bytes()[:-100])
    return file.parent


def load(folder: Path) -> NeuralClassifier:
    """Load a model."""
    return NeuralClassifier.load(folder)


def begun(folder: Path) -> Path:
    """Leave a checkpoint."""
    net().fit(X, y, checkpoint=folder / "run")
    return folder / "run"


def resume(checkpoint: Path, features: Any = X, **options: Any) -> None:
    """Go on from a checkpoint."""
    net(**options).fit(features, y, checkpoint=checkpoint, resume=True)


def cut_checkpoint(folder: Path) -> Path:
    """Leave a checkpoint that is cut short."""
    file = begun(folder) / "training.checkpoint"
    file.write_bytes(file.read_bytes()[:500])
    return file.parent


def arrays(folder: Path, **content: Any) -> Path:
    """Write an .npz file."""
    np.savez(folder / "data.npz", **content)
    return folder / "data.npz"


def _file(folder: Path) -> Path:
    (folder / "model").write_text("mine")
    return folder / "model"


def _predict_others(folder: Path) -> None:
    (folder / "new.csv").write_text("a,b\n1,2\n")
    command("predict", saved(folder), folder / "new.csv", "--out", folder / "scored.csv")


TABLES = [
    Case("a file that is not there", lambda f: command("compare", f / "nope.csv", "--target", "y")),
    Case("an empty file", lambda f: compare(f, "")),
    Case("column names only", lambda f: compare(f, HEAD)),
    Case("one row", lambda f: compare(f, HEAD + "1,2,0\n")),
    Case("another delimiter", lambda f: compare(f, (HEAD + BODY).replace(",", ";"))),
    Case("column names twice", lambda f: compare(f, "a,a,y\n" + BODY)),
    Case("rows of different lengths", lambda f: compare(f, HEAD + BODY + "1,2,3,4,5\n")),
    Case("an open quotation", lambda f: compare(f, HEAD + '"' + BODY)),
    Case("bytes that are no text", lambda f: compare(f, b"\x00\xff\xfe" * 50)),
    Case("another encoding", lambda f: compare(f, (HEAD + BODY).replace("a", "ä").encode("latin-1"))),
    Case("a CSV called Parquet", lambda f: compare(f, HEAD + BODY, name="data.parquet")),
    Case("a spreadsheet", lambda f: compare(f, b"PK", name="data.xlsx")),
    Case("no target", lambda f: compare(f, HEAD + BODY, "--cv", 2)),
    Case("a target that is no column", lambda f: compare(f, HEAD + BODY, "--target", "Y")),
    Case("a target with a value for every row", lambda f: compare(f, HEAD + BODY, "--target", "a")),
    Case("a target with gaps", lambda f: compare(f, HEAD + BODY + "1,2,\n")),
    Case("a column to drop that is none", lambda f: compare(f, HEAD + BODY, "--target", "y", "--drop", "z")),
    Case("an unknown method", lambda f: compare(f, HEAD + BODY, "--target", "y", "--methods", "naiv")),
    Case("a report where a file is", lambda f: compare(f, HEAD + BODY, "--report", f / "data.csv")),
]
IMAGES = [
    Case("a folder without images", load_image_folder),
    Case("a single class", lambda f: command("compare", images(f, "cats"))),
    Case("a broken image", lambda f: load_image_folder(images(f, "cats", "dogs", broken=True))),
    Case("an .npz without images", lambda f: load_image_arrays(arrays(f, pixels=np.zeros((4, 8, 8))))),
    Case(
        "an .npz with objects",
        lambda f: load_image_arrays(arrays(f, images=np.array([{}] * 4, dtype=object), y=np.arange(4))),
    ),
    Case("a text called .npz", lambda f: compare(f, "no arrays", "--cv", 2, name="data.npz")),
]
MODELS = [
    Case("a folder without a model", load),
    Case("the model of another estimator", lambda f: MetaBalanceClassifier.load(saved(f))),
    Case("a model of a newer version", lambda f: load(damaged(f, 'version": 9', 'version": 99'))),
    Case("a description that is no JSON", lambda f: load(damaged(f, "{", "{{"))),
    Case("a description that was edited", lambda f: load(damaged(f, '"encoder"', '"decoder"'))),
    Case("weights that are cut short", lambda f: load(cut_weights(f))),
    Case("a model to be saved where a file is", lambda f: fitted().save(_file(f))),
    Case("rows with another model's columns", _predict_others),
]
CHECKPOINTS = [
    Case("a checkpoint in the way", lambda f: net().fit(X, y, checkpoint=begun(f))),
    Case("a checkpoint of other parameters", lambda f: resume(begun(f), lr=0.1)),
    Case("a checkpoint of other rows", lambda f: resume(begun(f), X[::-1])),
    Case("a checkpoint that is cut short", lambda f: resume(cut_checkpoint(f))),
    Case("nothing to go on from", lambda f: net().fit(X, y, resume=True)),
    Case("no seed", lambda f: net(random_state=None).fit(X, y, checkpoint=f / "run")),
]
