"""Scoring a table with a saved model."""

from pathlib import Path
from typing import Any

import pandas as pd

from metabalance import MetaBalanceClassifier, NeuralClassifier
from metabalance.estimators.persistence import load_model

WRITERS = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}


def load_any_model(path: Path) -> Any:
    """Return the saved estimator, of whichever class it is."""
    return load_model({c.__name__: c for c in (MetaBalanceClassifier, NeuralClassifier)}, path)


def score_table(model: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with a ``prediction`` column and one ``probability_<class>`` column per class.

    Columns that the model was not trained on (identifiers, a known label) are kept but not used.

    Raises
    ------
    ValueError
        If a column of the training data is missing, or the frame has one of the names to be added.
    """
    features = [str(name) for name in model.feature_names_in_]
    missing = [name for name in features if name not in frame.columns]
    if missing:
        raise ValueError(
            f"the data lack {len(missing)} of the {len(features)} columns the model was trained on: "
            f"{', '.join(missing[:8])}{', …' if len(missing) > 8 else ''}"
        )
    probabilities = model.predict_proba(frame[features])
    added = {"prediction": model.classes_[probabilities.argmax(axis=1)]}
    added |= {f"probability_{label}": probabilities[:, code] for code, label in enumerate(model.classes_)}
    taken = [name for name in added if name in frame.columns]
    if taken:
        raise ValueError(f"the data already have a column {taken[0]!r}: rename it first")
    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the format of its file ending; the folder is made if need be."""
    ending = next(
        (ending for ending in sorted(WRITERS, key=len, reverse=True) if path.name.endswith(ending)), None
    )
    if ending is None:
        raise ValueError(f"{path}: unknown kind of file to write; use {', '.join(WRITERS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if WRITERS[ending] == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
