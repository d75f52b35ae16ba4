"""Calibration and decision as networks against what the classifiers do."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.estimators.outputs import Output
from metabalance.export.classifying import MadeOfOutputs


def drawn(n_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of rows and their classes, each of which occurs."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(n_classes, 0.5), 60)
    codes = np.array([rng.choice(n_classes, p=row) for row in probabilities])
    codes[:n_classes] = np.arange(n_classes)
    return probabilities, codes


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([2, 3, 6]),
    st.sampled_from(["temperature", "prior", "isotonic"]),
    st.sampled_from(["auto", "balanced", "most_probable"]),
    st.integers(0, 1000),
)
def test_it_is_the_output_up_to_rounding(n_classes, kind, decision, seed) -> None:
    probabilities, codes = drawn(n_classes, seed)
    counts = np.bincount(codes).astype(float)
    output = Output.fit(
        probabilities,
        codes,
        classes=np.arange(n_classes),
        counts=counts,
        kind=kind,
        prior="training",
        decision=decision,
        aim=np.full(n_classes, 1 / n_classes),
    )
    rows = np.concatenate([probabilities, np.eye(n_classes), drawn(n_classes, seed + 1)[0]])
    made, chosen = MadeOfOutputs(output)(torch.from_numpy(rows))
    expected = output(rows)
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(chosen.numpy(), output.decide(expected))


def test_rows_without_any_probability_stay_as_they_are() -> None:
    state = {"inputs": [[0.0, 0.6, 1.0]] * 3, "outputs": [[0.0, 0.0, 1.0]] * 3}
    output = Output.from_state(
        {"kind": "isotonic", "calibration": state, "ratio": [1.0] * 3, "log_weights": [0.0] * 3}
    )
    made, _ = MadeOfOutputs(output)(torch.tensor([[0.5, 0.3, 0.2], [0.8, 0.1, 0.1]], dtype=torch.float64))
    assert made.tolist() == [pytest.approx([0.5, 0.3, 0.2]), pytest.approx([1.0, 0.0, 0.0])]
