"""Small data, and searches of networks that hardly train."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification

from metabalance import MetaBalanceClassifier, MSMetaBalanceClassifier


def quick_net(**options: Any) -> MetaBalanceClassifier:
    """A network of one large update an epoch."""
    return MetaBalanceClassifier(
        **{
            "max_epochs": 1,
            "n_members": 4,
            "hidden_sizes": (32,),
            "support_batch_size": 512,
            "query_batch_size": 512,
            "device": "cpu",
            **options,
        }
    )


def quick_search(net: MetaBalanceClassifier | None = None, **options: Any) -> MSMetaBalanceClassifier:
    few = {"support_samplers": ["natural"], "query_samplers": ["under", "over"], "cv": 2, "random_state": 0}
    return MSMetaBalanceClassifier(quick_net() if net is None else net, **{**few, **options})


@pytest.fixture(scope="session")
def binary() -> tuple[np.ndarray, np.ndarray]:
    return make_classification(300, 6, n_informative=4, weights=[0.85], flip_y=0.01, random_state=0)
