"""The Python code in the README and the guide runs as it is printed."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from torch import nn

from metabalance import compare
from metabalance.training import budget

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


class MyConvNet(nn.Module):
    def __init__(self, n_inputs: int, n_outputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_inputs, width), nn.ReLU(), nn.Linear(width, n_outputs))

    def forward(self, x):
        return self.layers(x)


def names_the_documents_use() -> dict:
    X, y = make_classification(300, 6, weights=[0.85], random_state=0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    return {
        "X": X,
        "y": y,
        "X_test": X[:10],
        "X_new": X[:10],
        "y_new": y[:10],
        "model": model,
        "loss_fn": nn.CrossEntropyLoss(),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.01),
        "MyConvNet": MyConvNet,
        "mb": __import__("metabalance"),
        "np": np,
    }


@pytest.mark.parametrize("document", ["README.md", "docs/guide.md"])
def test_code_blocks_run(document: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    # The same code, in shorter epochs, and fewer of them.
    monkeypatch.setattr(budget, "MIN_ROWS_PER_EPOCH", 256)
    monkeypatch.setitem(compare.__kwdefaults__, "max_epochs", 5)
    blocks = BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    assert len(blocks) >= 2
    names = names_the_documents_use()
    for block in blocks:
        exec(compile(block, document, "exec"), names)


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/guide.md",
        "docs/scaling.md",
        "benchmarks/README.md",
        "paper/README.md",
    ],
)
def test_links_lead_somewhere(document: str) -> None:
    file = ROOT / document
    links = re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    missing = [link for link in local if not (file.parent / link).exists()]
    assert missing == []
