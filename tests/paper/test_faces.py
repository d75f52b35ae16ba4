"""The task of faces, small: who is trained on and who is identified, balanced groups, and Table 5."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from paper.faces import run
from paper.faces.report import face_tables
from paper.faces.scores import embeddings_of, identify, verify
from paper.faces.task import Faces
from paper.images import units
from paper.images.steps import MetaStep, PlainStep, loss_of
from paper.report import read_published

from metabalance.datasets import FaceSet
from metabalance.evaluation import identification_rates
from metabalance.nn import CosFaceLoss, FocalLoss, ResNet

SIZE = {
    "network": {"width": 4, "blocks": [1]},
    "image_size": 14,
    "at_least": 8,
    "n_test": 4,
    "cuda_precision": "float32",
    "rows": 2000,
    "meta_steps": 2,
    "scores": 2,
}
EASY = {"cosine_scale": 10.0, "margin": 0.1, "lr": 0.05}  # learned in the few updates of a test
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces():
    """Noise with a pattern of each person's own; women and men in turn, one person with few images."""
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(10, 23), [*[20] * 12, 3])
    own = rng.integers(256, size=(23, 3, 14, 14))
    pixels = (own[identity] + rng.integers(128, size=(len(identity), 3, 14, 14))) // 2
    return FaceSet(
        "faces",
        torch.from_numpy(pixels.astype(np.uint8)),
        identity,
        identity % 2,
        ("female", "male"),
        tuple(map(str, range(len(identity)))),
    )


@pytest.fixture(scope="module")
def task(faces):
    return Faces(faces, SIZE).make("thinned", 3, CPU)


def recipe_of(row):
    return dict(unit_of(row, 0).recipe)


def unit_of(row, seed):
    config = units.load_config("celeba", "faces") | {"cpu": SIZE}
    own = units.load_config("rows", "faces")[row]
    return units.unit_of("celeba-cpu", "cpu", "thinned", row, seed, own, config)


def test_people_to_identify_are_others_and_women_keep_few_images(task, faces):
    tested = set(task.test.y.tolist())
    trained = set(map(int, task.train.classes))
    assert len(tested) == 4
    assert sum(person % 2 for person in tested) == 2
    assert tested | trained == set(range(10, 23))
    assert not tested & trained
    assert (task.counts[[int(name) % 2 == 1 for name in task.train.classes]] == 20).all()
    women = [name for name in task.train.classes if int(name) % 2 == 0]
    counts = dict(zip(task.train.classes, task.counts.tolist(), strict=True))
    assert {counts[name] for name in women} == {2}
    described = Faces(faces, SIZE).describe(task)
    assert described["train"]["female"] == {"people": len(women), "images": 2 * len(women)}
    assert described["test"]["male"] == {"people": 2, "images": 40}
    other = Faces(faces, SIZE).make("thinned", 4, CPU)
    assert set(other.test.y.tolist()) != tested


@pytest.mark.parametrize("row", ["over", "metabalance"])
def test_streams_balance_women_and_men(task, row):
    recipe = recipe_of(row)
    net = ResNet(len(task.train.classes), width=4, blocks=(1,), cosine_scale=64)
    step = (MetaStep if row == "metabalance" else PlainStep)(task, net, recipe, 0)
    if row == "metabalance":
        (_, natural), (_, y) = step.stream.draw()
        assert natural.shape == (2, 128)
    else:
        _, y = step.stream.draw()
    male = np.array([int(name) % 2 for name in task.train.classes])[y]
    assert (male.reshape(-1, 128).sum(axis=1) == 64).all()


def test_the_loss_is_cosface_with_focal(task):
    loss = loss_of(recipe_of("metabalance"), task)
    expected = CosFaceLoss(0.35, 64.0, FocalLoss(2.0))
    logits, y = 64 * torch.rand(5, 9), torch.arange(5)
    torch.testing.assert_close(loss(logits, y), expected(logits, y))


def test_scores_are_of_the_embeddings(task):
    net = ResNet(9, width=4, blocks=(1,), cosine_scale=64)
    embedded = embeddings_of(net, task, task.test.images)
    torch.testing.assert_close(embedded, net.eval().embed(task.prepare(task.test.images)))
    found = identify(net, task)
    direct = identification_rates(
        embedded.detach(), task.test.y, group=np.where(task.test.y % 2, "male", "female")
    )
    assert found["rank 1"]["total"] == pytest.approx(direct.rates[1], abs=1e-6)
    assert found["rank 1"]["female"] == pytest.approx(direct.groups["female"].rates[1], abs=1e-6)
    assert found["rank 5"]["total"] >= found["rank 1"]["total"]
    assert 0 <= verify(net, task)["accepted at 1 % false accepts"] <= 1


@pytest.fixture(scope="module")
def results(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    threads = torch.get_num_threads()
    for row in ("naive", "metabalance", "no-adaptation"):
        for seed in (0, 1):
            unit = replace(unit_of(row, seed), recipe={**unit_of(row, seed).recipe, **EASY})
            units.run_unit(unit, Faces(faces, SIZE), folder, CPU, {"cpu": "one"})
    torch.set_num_threads(threads)
    return folder


def test_runs_learn_and_say_what_they_are_of(results):
    found = json.loads((results / "celeba-cpu/thinned/naive/0.json").read_text())
    assert found["data"]["title"] == "faces"
    assert found["recipe"]["milestones"] == [0.2917, 0.5417, 0.7917]
    assert found["image_size"] == 14
    last = found["curve"][-1]
    assert last["loss"] < 0.9 * found["curve"][0]["loss"]
    assert {"θ, statistics anew"} < set(last)


def test_table_5_from_its_runs(results):
    rates, differences = face_tables(results, "cpu", {"naive": [90.0, 95.0, 85.0]})["table5"]
    places = [(cells[0], cells[1]) for cells in rates.rows]
    assert places == [
        ("Naive", "θ"),
        ("Naive", "θ, anew"),
        *(("MetaBalance", place) for place in ("θ", "θ, anew", "θ′")),
        *(("No adaptation", place) for place in ("θ", "θ, anew", "θ′")),
    ]
    runs = [json.loads((results / f"celeba-cpu/thinned/naive/{seed}.json").read_text()) for seed in (0, 1)]
    ends = [each["curve"][-1]["rank 1"] for each in runs]
    totals = [100 * end["total"] for end in ends]
    error = np.std(totals, ddof=1) / np.sqrt(2)
    assert rates.rows[0][2] == f"{np.mean(totals):.1f} ± {error:.1f}"
    gap = np.mean([100 * (end["male"] - end["female"]) for end in ends])
    assert float(rates.rows[0][5].split(" ± ")[0].replace("−", "-")) == pytest.approx(gap, abs=0.051)
    assert rates.rows[0][-1] == "90.0 / 95.0 / 85.0"
    assert all("±" in cell for row in differences.rows for cell in row[2:])
    assert ["No adaptation", "θ"] not in [row[:2] for row in differences.rows]
    for table in (rates, differences):
        assert table.to_markdown()
        assert r"\begin{table}" in table.to_latex()


def test_no_runs_no_table(tmp_path):
    assert face_tables(tmp_path, "cpu", {}) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[table5.celeba]\nnaive = [1.0, 2.0]", r"table5\.celeba\.naive must be \[total, male, female\]"),
        ("[table5.loan]\nnaive = [1.0, 2.0, 3.0]", r"there is no table5\.loan\.naive"),
    ],
)
def test_published_figures_of_other_shapes(text, message):
    with pytest.raises(ValueError, match=message):
        read_published(text)


def test_the_command_runs_what_is_missing(faces, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "load_celeba", lambda *_, **__: faces)
    config = units.load_config("celeba", "faces") | {"cpu": SIZE}
    monkeypatch.setattr(run, "load_config", lambda n, f: config if n == "celeba" else units.load_config(n, f))
    arguments = [
        "--rows",
        "naive",
        "--runs",
        "1",
        "--jobs",
        "1",
        "--results",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    for expected in ("1 runs", "0 runs"):
        run.main(arguments)
        assert re.search(expected, capsys.readouterr().out)
    assert (tmp_path / "celeba-cpu/thinned/naive/0.json").exists()


def test_data_that_are_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        run.main(["--data-root", str(tmp_path), "--results", str(tmp_path / "r")])
    assert "holds no identity_CelebA.txt" in capsys.readouterr().err
