"""Small data and quick fits for the estimators' tests."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification

QUICK = {"max_epochs": 2, "n_members": 4, "hidden_sizes": (32,), "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="session")
def binary() -> tuple[np.ndarray, np.ndarray]:
    return make_classification(400, 6, n_informative=4, weights=[0.9], flip_y=0.01, random_state=0)


@pytest.fixture(scope="session")
def three_classes() -> tuple[np.ndarray, np.ndarray]:
    return make_classification(
        400, 6, n_informative=5, n_redundant=0, n_classes=3, weights=[0.8, 0.15], random_state=1
    )


@pytest.fixture(scope="session")
def mixed_table() -> tuple[pd.DataFrame, pd.Series]:
    """Numbers, missing values, booleans, strings and categories, with a rare string label."""
    rng = np.random.default_rng(0)
    n = 300
    risk = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "amount": np.where(rng.random(n) < 0.1, np.nan, 100 * np.exp(risk)),
            "age": rng.integers(18, 90, n),
            "member": rng.random(n) < 0.5,
            "city": rng.choice(["Bern", "Rome", "Oslo"], n),
            "channel": pd.Categorical(rng.choice(["web", "shop"], n)),
        }
    )
    return frame, pd.Series(np.where(risk + 0.3 * rng.normal(size=n) > 1.3, "fraud", "fine"), name="label")
