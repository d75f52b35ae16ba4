"""Tables, labels and parameters that cannot be used."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC
from torch import nn

import metabalance as mb
from tests.bad_input.case import Case, fitted, net, rows

X, y = rows()
FRAME = pd.DataFrame(X, columns=["a", "b", "c", "d"])


def fit(features: Any = X, labels: Any = y, balance_by: Any = None, **options: Any) -> Any:
    """Fit a quick network."""
    return net(**options).fit(features, labels, balance_by)


def changed(value: Any) -> np.ndarray:
    """The table with one other value."""
    features = X.copy()
    features[3, 1] = value
    return features


def labels_with(value: Any) -> np.ndarray:
    """The labels with one other."""
    labels = y.astype(object)
    labels[5] = value
    return labels


class Twice(nn.Module):
    """Gives every row two lines of logits."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_outputs)

    def forward(self, x: Any) -> Any:
        return self.linear(x).repeat(2, 1)


FEATURES = [
    Case("no rows", lambda f: fit(X[:0], y[:0])),
    Case("no columns", lambda f: fit(X[:, :0])),
    Case("one dimension", lambda f: fit(X[:, 0])),
    Case("nothing (None)", lambda f: fit(None)),
    Case("a text", lambda f: fit("data.csv")),
    Case("a single row", lambda f: fit(X[:1], y[:1])),
    Case("another number of labels than of rows", lambda f: fit(X, y[:-1])),
    Case("infinity", lambda f: fit(changed(np.inf))),
    Case("a number beyond float32 (1e39)", lambda f: fit(changed(1e39))),
    Case("complex numbers", lambda f: fit(X + 1j)),
    Case("a sparse matrix", lambda f: fit(csr_matrix(X))),
    Case("rows of different lengths", lambda f: fit([[1, 2], [3]] * 30)),
    Case("column names twice", lambda f: fit(FRAME.set_axis(["a", "b", "a", "d"], axis=1))),
    Case("column names of several types", lambda f: fit(FRAME.set_axis(["a", 1, "c", "d"], axis=1))),
    Case("dates", lambda f: fit(FRAME.assign(day=pd.Timestamp("2020-01-01")))),
    Case("lists in cells", lambda f: fit(FRAME.assign(tags=[[1, 2]] * len(FRAME)))),
    Case("images without channels and without module=", lambda f: fit(np.zeros((60, 8, 8)))),
    Case("images with NaN", lambda f: fit(np.full((60, 1, 8, 8), np.nan))),
]
LABELS = [
    Case("no labels (None)", lambda f: fit(X, None)),
    Case("labels that are NaN", lambda f: fit(X, labels_with(np.nan))),
    Case("labels that are None", lambda f: fit(X, labels_with(None))),
    Case("labels that are infinite", lambda f: fit(X, np.where(y == 1, np.inf, 0.0))),
    Case("continuous labels (a regression by mistake)", lambda f: fit(X, X[:, 0])),
    Case("labels of mixed types", lambda f: fit(X, labels_with("1"))),
    Case("two columns of labels", lambda f: fit(X, np.stack([y, y], axis=1))),
    Case("one class", lambda f: fit(X, np.zeros(60))),
    Case("a class with one row", lambda f: fit(X, np.arange(60) == 0)),
    Case("10,000 classes with a row each", lambda f: fit(np.zeros((10_000, 2)), np.arange(10_000))),
    Case("a label for every row", lambda f: fit(X, [f"id-{number}" for number in range(60)])),
    Case("groups of another length", lambda f: fit(X, y, np.zeros(59), sampler="over")),
    Case("groups that are NaN", lambda f: fit(X, y, np.where(y == 1, np.nan, 0.0), sampler="over")),
    Case("one group", lambda f: fit(X, y, np.zeros(60), sampler="over")),
    Case("groups with SMOTE", lambda f: fit(X, y, np.arange(60) % 2, sampler="smote")),
]
PREDICTIONS = [
    Case("rows before `fit`", lambda f: net().predict(X)),
    Case("another number of columns", lambda f: fitted().predict(X[:, :3])),
    Case("a column missing", lambda f: net().fit(FRAME, y).predict(FRAME.drop(columns="b"))),
    Case("a column more", lambda f: net().fit(FRAME, y).predict(FRAME.assign(e=1))),
    Case("text in a column of numbers", lambda f: net().fit(FRAME, y).predict(FRAME.assign(b="much"))),
    Case("infinity", lambda f: fitted().predict_proba(changed(-np.inf))),
    Case("one dimension", lambda f: fitted().predict(X[0])),
    Case(
        "images of another size",
        lambda f: net().fit(np.zeros((60, 1, 8, 8)), y).predict(np.zeros((2, 1, 9, 9))),
    ),
    Case("embeddings of a table", lambda f: fitted().embed(X)),
]
PARAMETERS = [
    Case("an unknown strategy", lambda f: fit(sampler="ovre")),
    Case("an unknown loss", lambda f: fit(loss="crossentropy")),
    Case("an unknown optimizer", lambda f: fit(optimizer="adma")),
    Case("an unknown scorer", lambda f: fit(scoring="roc")),
    Case("an unknown device", lambda f: fit(device="gpu")),
    Case("an unknown argument", lambda f: fit(learning_rate=0.1)),
    Case("an argument that the optimizer has not", lambda f: fit(optimizer__speed=3)),
    Case("a negative learning rate", lambda f: fit(lr=-1)),
    Case("a learning rate that is a text", lambda f: fit(lr="0.1")),
    Case("no epochs", lambda f: fit(max_epochs=0)),
    Case("half a row in a batch", lambda f: fit(batch_size=0.5)),
    Case("layers without units", lambda f: fit(hidden_sizes=(0,))),
    Case("more held out than there is", lambda f: fit(validation_fraction=1.5)),
    Case("weights of a class that is none", lambda f: fit(class_weight={0: 1.0, 5: 2.0})),
    Case("weights below 0", lambda f: fit(class_weight={0: 1.0, 1: -2.0})),
    Case("a module that is none", lambda f: fit(module=dict)),
    Case("a module with wrong outputs", lambda f: fit(module=Twice)),
    Case("callbacks that are none", lambda f: fit(callbacks=[print])),
    Case("a learning rate that makes training diverge", lambda f: fit(optimizer="sgd", lr=1e30)),
    Case("a prior that is no share", lambda f: fit(prior=2)),
    Case("an unknown decision", lambda f: fit(decision="best")),
    Case("an inner step below 0", lambda f: mb.MetaBalanceClassifier(inner_lr=-0.1).fit(X, y)),
    Case("an unknown engine", lambda f: mb.MetaBalanceClassifier(engine="fast").fit(X, y)),
    Case("an empty list of strategies", lambda f: mb.MSMetaBalanceClassifier(support_samplers=[]).fit(X, y)),
]
COMPARISONS = [
    Case("an unknown method", lambda f: mb.compare(X, y, methods=["lightgmb"])),
    Case("no methods", lambda f: mb.compare(X, y, methods=[])),
    Case("one fold", lambda f: mb.compare(X, y, cv=1)),
    Case("more folds than rows of a class", lambda f: mb.compare(X, y, cv=30)),
    Case("rows that are trained and tested on", lambda f: mb.compare(X, y, cv=[(range(60), range(9))])),
    Case("a classifier without probabilities", lambda f: mb.compare(X, y, methods=[("svm", LinearSVC())])),
    Case("options that networks have not", lambda f: mb.compare(X, y, network={"depth": 3})),
    Case("frequencies of 0", lambda f: mb.correct_prior([[0.5, 0.5]], [1, 0])),
]
