"""Fits on a GPU give what fits on the CPU give, but for rounding, and models go from one to the other."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
from tests.estimators.conftest import QUICK

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

OPTIONS = {**QUICK, "device": "cuda"}
KINDS = [
    (NeuralClassifier, {}),
    (MetaWeightNetClassifier, {}),
    (MetaBalanceClassifier, {}),
    (MetaBalanceClassifier, {"predict_with": "adapted"}),
    (MetaBalanceClassifier, {"query_sampler": "smote"}),
    (MetaBalanceClassifier, {"numerical_embedding": "periodic"}),
    (MetaBalanceClassifier, {"loss": "logit_adjusted", "class_weight": "balanced"}),
    (MetaBalanceClassifier, {"refit": True, "n_members": 1}),
]


@pytest.mark.parametrize(
    ("estimator", "change"), KINDS, ids=lambda part: getattr(part, "__name__", str(part))
)
def test_a_model_of_the_gpu_predicts_the_same_on_the_cpu(estimator, change, binary, tmp_path) -> None:
    X, y = binary
    net = estimator(**{**OPTIONS, "max_epochs": 4, **change}).fit(X, y)
    assert net.device_.type == "cuda"
    assert all(parameter.is_cuda for parameter in net.module_.parameters())
    net.save(tmp_path)
    there, here = net.predict_proba(X), estimator.load(tmp_path, device="cpu").predict_proba(X)
    np.testing.assert_allclose(there, here, atol=1e-5)
    assert roc_auc_score(y, here[:, 1]) > 0.8


@pytest.mark.parametrize("estimator", [NeuralClassifier, MetaBalanceClassifier])
def test_mixed_tables(estimator, mixed_table) -> None:
    X, y = mixed_table
    proba = estimator(**OPTIONS).fit(X, y).predict_proba(X)
    assert proba.shape == (len(X), len(np.unique(y)))
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)


def test_images_with_batch_norm() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [40, 20, 20])
    X = (rng.integers(100, size=(80, 3, 8, 8)) + 60 * y[:, None, None, None]).astype(np.uint8)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    for engine in ("loop", "captured"):
        clf = MetaBalanceClassifier(module=net, engine=engine, lr=0.01, **{**OPTIONS, "max_epochs": 5})
        assert (clf.fit(X, y).predict(X) == y).mean() > 0.9
