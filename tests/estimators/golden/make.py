"""Make the golden model anew, where the format has changed on purpose.

python -m tests.estimators.golden.make
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from metabalance import MetaBalanceClassifier

FOLDER = Path(__file__).parent


def main() -> None:
    """Train on a table with every kind of column, and keep the model and what it predicts."""
    rng = np.random.default_rng(0)
    risk = rng.normal(size=240)
    table = pd.DataFrame(
        {
            "amount": np.where(rng.random(240) < 0.1, np.nan, np.exp(risk)),
            "new": rng.random(240) < 0.5,
            "city": rng.choice(["Bern", "Zürich", "Genève"], 240),
            "shop": [f"shop {number}" for number in rng.integers(40, size=240)],
            "same": 1,
        }
    )
    y = np.where(risk + rng.normal(size=240) > 1.8, "fraud", "ok")
    net = MetaBalanceClassifier(
        max_epochs=2, n_members=2, hidden_sizes=(4,), n_bins=4, predict_with="adapted", random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(table, y)
    net.save(FOLDER / "model")
    rows = table.head(6).astype(object).where(table.head(6).notna(), None)
    kept = {
        "rows": rows.to_dict("list"),
        "probabilities": net.predict_proba(pd.DataFrame(rows.to_dict("list"))).tolist(),
        "labels": net.predict(pd.DataFrame(rows.to_dict("list"))).tolist(),
    }
    (FOLDER / "predictions.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
