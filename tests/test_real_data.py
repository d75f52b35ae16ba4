"""The development tables, where they are at hand: they load, encode and train."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.development import SOURCES, load
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from metabalance import MetaBalanceClassifier
from metabalance.encoding.tables import make_encoder

CLASSES = {"loan": 2, "fraud": 2, "page_blocks": 5, "yeast": 10}


@pytest.mark.parametrize("name", SOURCES)
def test_tables_load_and_encode(name: str, data_root: Path) -> None:
    X, y = load(name, data_root)
    assert len(np.unique(y)) == CLASSES.get(name, 2)
    encoded = make_encoder(X).fit(X).transform(X)
    assert encoded.dtype == np.float32
    assert np.isfinite(encoded).all()


@pytest.mark.parametrize(("name", "at_least"), [("fraud", 0.95), ("loan", 0.6), ("sick", 0.9)])
def test_a_few_epochs_rank_unseen_rows_well(name: str, at_least: float, data_root: Path) -> None:
    X, y = load(name, data_root)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    net = MetaBalanceClassifier(max_epochs=8, random_state=0).fit(X_train, y_train)
    assert roc_auc_score(y_test == net.classes_[1], net.predict_proba(X_test)[:, 1]) > at_least
