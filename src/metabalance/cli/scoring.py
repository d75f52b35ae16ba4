"""Scoring tables, or a folder of images, with a saved model."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
from metabalance.cli.outputs import write_table
from metabalance.datasets import read_table
from metabalance.datasets.images import MODES, image_files, read_images
from metabalance.estimators.persistence import load_model
from metabalance.files import remove_unfinished
from metabalance.large.folders import holds_parquet
from metabalance.large.scoring import score_parquet


def load_any_model(path: Path) -> Any:
    """Return the saved estimator, of whichever class it is."""
    known = (MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier)
    return load_model({c.__name__: c for c in known}, path)


def score(model: Any, path: str, out: Path, *, progress: bool = False) -> Counter[Any]:
    """Read what is at path, and write it with the predictions: a table, or the names of image files.

    Parquet files are read and written piece by piece. Images are brought to the size of those that the model
    was trained on.

    Returns
    -------
    Counter
        How often each label is predicted.

    Raises
    ------
    ValueError
        If the model was trained on images and path is no folder, or the other way round.
    """
    remove_unfinished(out)
    if len(model.input_shape_) != 3 and holds_parquet(Path(path)):
        return score_parquet(Path(path), out, lambda frame: _predictions(model, frame))
    scored = _scored(model, path, progress)
    write_table(scored, out)
    return Counter(scored["prediction"].tolist())


def _scored(model: Any, path: str, progress: bool) -> pd.DataFrame:
    shape, is_folder = model.input_shape_, Path(path).is_dir()
    if len(shape) != 3:
        if is_folder:
            raise ValueError(
                f"{path} is a folder without Parquet files, but the model was trained on a table: give a file"
            )
        return score_table(model, read_for(model, path))
    if not is_folder:
        raise ValueError(
            f"the model was trained on images of {' × '.join(map(str, shape))} pixels (channels first): "
            f"give a folder of images, which {path} is not"
        )
    if shape[0] not in MODES or model.encoder_.dtype_in_ != "uint8":
        raise ValueError(
            f"the model was trained on arrays of {model.encoder_.dtype_in_} with {shape[0]} channels, which "
            "files of images are not read as: predict in Python, with arrays like those"
        )
    files = image_files(Path(path))
    pixels = read_images(files, (shape[1], shape[2]), shape[0], progress=progress)
    frame = pd.DataFrame({"file": [str(file) for file in files]})
    return pd.concat([frame, _predicted(model, frame, pixels)], axis=1)


def read_for(model: Any, path: str) -> pd.DataFrame:
    """Read a table as the model needs it: categories, and columns it does not use, stay text as they stand.

    pandas guesses types file by file, so that ``01`` would be a number in one file and text in another.
    """
    names = model.encoder_.feature_names_in_
    if names is None:
        return read_table(path)
    return read_table(path, parsed=set(names) - set(model.encoder_.text_features_))


def score_table(model: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with a ``prediction`` column and one ``probability_<class>`` column per class.

    Columns are found by name. Those that the model was not trained on (identifiers, a known label) are kept
    but not used. A model trained on an array, whose columns had no names, takes all columns by position.

    Raises
    ------
    ValueError
        If a column of the training data is missing, or the frame has one of the names to be added.
    """
    return pd.concat([frame, _predictions(model, frame)], axis=1)


def _predictions(model: Any, frame: pd.DataFrame) -> pd.DataFrame:
    return _predicted(model, frame, _features(model, frame))


def _predicted(model: Any, frame: pd.DataFrame, rows: Any) -> pd.DataFrame:
    """The columns to be added to the frame."""
    probabilities = model.predict_proba(rows)
    added = {"prediction": model.decide(probabilities)}
    added |= {f"probability_{label}": probabilities[:, code] for code, label in enumerate(model.classes_)}
    taken = [name for name in added if name in frame.columns]
    if taken:
        raise ValueError(f"the data already have a column {taken[0]!r}: rename or drop it first")
    return pd.DataFrame(added, index=frame.index)


def _features(model: Any, frame: pd.DataFrame) -> Any:
    names = model.encoder_.feature_names_in_
    if names is None:
        if frame.shape[1] != model.n_features_in_:
            raise ValueError(
                f"the model was trained on {model.n_features_in_} columns without names, which are taken by "
                f"position, but the data have {frame.shape[1]}: give exactly those columns, in that order"
            )
        return frame.to_numpy()
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(
            f"the data lack {len(missing)} of the {len(names)} columns the model was trained on: "
            f"{', '.join(map(repr, missing[:8]))}{', …' if len(missing) > 8 else ''}"
        )
    return frame[names]
