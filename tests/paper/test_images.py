"""The image task, small: what rows train on, what is scored, and that runs are kept and repeat."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from paper.images import run, units
from paper.images.adaptation import Way, adapted
from paper.images.losses import losses_for
from paper.images.places import best_place, places_of
from paper.images.scores import recalls, score, score_thresholds
from paper.images.steps import MetaStep
from paper.images.task import make_task
from paper.images.training import Training
from sklearn.metrics import log_loss
from torch import nn
from torch.nn.functional import cross_entropy

from metabalance.datasets import ImageSet
from metabalance.evaluation import predict_at_recall
from metabalance.nn import LDAMLoss, Mixup, effective_number_weights

CLASSES = ("red", "green", "blue")
NETWORK = {"width": 4, "blocks": [1]}


def recipe_of(row):
    return dict(units.unit_of("", "cpu", "severe", row, 0, units.load_config("rows")[row]).recipe)


def images(count, seed):
    """Noise with a tint: each class has a channel of its own that is brighter."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    pixels = rng.integers(120, size=(count, 3, 8, 8))
    pixels[np.arange(count), y] += 100
    return ImageSet("tints", torch.from_numpy(pixels.astype(np.uint8)), y, CLASSES)


@pytest.fixture
def task():
    return make_task(images(240, 0), images(60, 1), "severe", 1, torch.device("cpu"))


def test_the_seed_names_the_majority(task):
    assert task.majority == 1
    assert task.counts.tolist() == [5, 80, 5]
    other = make_task(images(240, 0), images(60, 1), "severe", 5, torch.device("cpu"))
    assert other.counts.tolist() == [5, 5, 80]
    moderate = make_task(images(240, 0), images(60, 1), "moderate", 0, torch.device("cpu"))
    assert moderate.counts[0] == 80
    assert all(5 <= count <= 50 for count in moderate.counts[1:])


def test_training_images_are_standardised_and_only_they_are_augmented(task):
    plain = task.prepare(task.train.images)
    torch.testing.assert_close(plain.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(plain.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert plain.is_contiguous(memory_format=torch.channels_last)
    augmented = task.prepare(task.train.images, torch.Generator().manual_seed(0))
    assert not torch.equal(augmented, plain)
    stacked = task.prepare(task.train.images[:12].reshape(3, 4, 3, 8, 8))
    torch.testing.assert_close(stacked.flatten(0, 1), plain[:12])


def test_recalls_and_thresholds(task):
    some = task.test.take(np.array([0, 1, 2]))  # of the classes 0, 1, 2
    assert recalls(np.array([0, 0, 1]), some) == [1.0, 0.0, 0.0]
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    proba = net(task.prepare(task.test.images)).softmax(1).detach().numpy()
    found = score(net, task) | score_thresholds(net, task)
    assert found["test"] == recalls(proba.argmax(1), task.test)
    assert found["train"] == recalls(net(task.prepare(task.train.images)).argmax(1).numpy(), task.train)
    corrected = proba / task.counts**1.0
    assert found["test, prior corrected"] == recalls(corrected.argmax(1), task.test)
    assert found["test, by strength"]["1"] == found["test, prior corrected"]
    assert found["test, by strength"]["2"] == recalls((corrected / task.counts).argmax(1), task.test)
    assert found["test, log-loss"] == pytest.approx(log_loss(task.test.y, proba), abs=1e-5)
    matched = list(found["others' test recall, by the majority's"].values())
    assert matched == sorted(matched, reverse=True)
    predicted = predict_at_recall(proba, task.test.y, 0.5, label=1)
    assert matched[9] == pytest.approx(np.take(recalls(predicted, task.test), [0, 2]).mean(), abs=1e-5)


def test_adapted_as_the_library_does(task):
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    there = adapted(net, task, Way(0.1), seed=0)
    # By hand: one step of plain gradient descent on all training images.
    loss = cross_entropy(net(task.prepare(task.train.images)), torch.from_numpy(task.train.y))
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    for moved, own, gradient in zip(there.parameters(), net.parameters(), gradients, strict=True):
        torch.testing.assert_close(moved, own - 0.1 * gradient)
    # Without BatchNorm the mean over batches is the same, but for the images left over.
    by_batches = adapted(net, task, Way(0.1, gradient="batch"), seed=0)
    assert (
        0
        < (by_batches[1].weight - there[1].weight).abs().max()
        < (there[1].weight - net[1].weight).abs().max()
    )
    twice = adapted(net, task, Way(0.1, steps=2), seed=0)
    again = adapted(there, task, Way(0.1), seed=0)
    torch.testing.assert_close(twice[1].weight, again[1].weight)
    some = adapted(net, task, Way(0.1, rows=20), seed=0)
    assert not torch.equal(some[1].weight, there[1].weight)


def test_statistics_are_taken_anew_from_the_rows_asked_for(task):
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(192, 3)).eval()
    before = net[0].running_mean.clone()
    kept = adapted(net, task, Way(0.1, gradient="batch"), seed=0)
    assert torch.equal(kept[0].running_mean, before)
    assert not torch.equal(kept[2].weight, net[2].weight)
    natural, over = (
        adapted(net, task, Way(0.0, statistics=strategy), seed=0)[0].running_mean
        for strategy in ("natural", "over")
    )
    assert torch.equal(net[0].running_mean, before)
    by_class = torch.stack(
        [
            task.prepare(task.train.images)[torch.from_numpy(task.train.y) == k].mean((0, 2, 3))
            for k in range(3)
        ]
    )
    # Crops have black edges, which moves all means alike: what is left is the share of each tint.
    assert (natural - by_class[1]).std() < (over - by_class[1]).std()
    assert (over - by_class.mean(0)).std() < (natural - by_class.mean(0)).std()


@pytest.mark.parametrize("row", list(units.load_config("rows")))
def test_every_row_learns_the_tints(task, row):
    recipe = recipe_of(row)
    recipe["lr"] = 0.02 if recipe["kind"] != "plain" or recipe.get("loss") == "ldam" else 0.05
    if recipe["kind"] == "plain":
        recipe["batch_size"] = 32
    if recipe["kind"] == "meta":
        recipe["meta_steps"] = 2
    curve = list(Training(task, recipe, NETWORK, 0, rows=2600, scores=2).run())
    first, last = curve
    assert first["update"] < last["update"]
    assert sum("θ" in name for name in last) == (3 if recipe["kind"] == "meta" else 1)
    accuracy, _ = best_place([{"curve": curve}])  # running statistics of so few updates are noise
    assert accuracy > 0.5  # a third is chance


def test_the_same_seed_gives_the_same_curve(task):
    for row in ("over-cutmix", "metabalance"):
        recipe = recipe_of(row) | {"meta_steps": 2}
        one, same = (list(Training(task, recipe, NETWORK, 3, rows=300, scores=1).run()) for _ in range(2))
        for record in (*one, *same):
            del record["seconds"]
        assert one == same


def test_a_way_that_diverges_is_named_and_the_rest_is_kept(task):
    recipe = recipe_of("metabalance") | {"meta_steps": 1, "score_at": 1e38}
    training = Training(
        task, recipe, NETWORK, 3, rows=50, scores=1, ways={"far": Way(1e38), "near": Way(0.1)}
    )
    (last,) = training.run()
    assert "not finite" in last["far"]["failure"]
    assert "not finite" in last["θ′ 1e+38, running statistics"]["failure"]
    assert len(last["near"]["test"]) == 3
    assert not any("1e+38, running" in place for place, _ in places_of(last))


@pytest.mark.parametrize("row", ["ldam-drw", "over-mixup", "metabalance", "meta-weight-net", "sam"])
def test_broken_off_and_gone_on_with_it_is_the_same_to_the_last_bit(task, row, tmp_path):
    recipe = recipe_of(row) | {"batch_size": 32, "meta_steps": 1}

    def new():
        return Training(task, recipe, NETWORK, 3, rows=900, scores=3)

    whole, first, second = new(), new(), new()
    list(whole.run())
    next(first.run())
    torch.save(first.state_dict(), tmp_path / "state")
    second.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert not second.finished
    list(second.run())
    assert second.finished
    for record in (*whole.curve, *second.curve):
        del record["seconds"]
    assert second.curve == whole.curve
    for name, value in whole.module.state_dict().items():
        assert torch.equal(second.module.state_dict()[name], value), name


def test_a_mixed_query_batch_has_the_mean_of_both_labels_losses(task):
    recipe = recipe_of("metabalance") | {"meta_steps": 2, "mixing": "mixup", "inner_lr": 0.0}
    step = MetaStep(task, nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), recipe, 0)
    state = step.state_dict()
    loss = step.backward(cross_entropy)
    step.load_state_dict(state)
    _, (z, t) = step.pairs()
    batches = [Mixup()(*pair, step.generator) for pair in zip(z, t, strict=True)]
    expected = torch.stack([batch.loss(cross_entropy, step.module(batch.x)) for batch in batches]).mean()
    torch.testing.assert_close(loss, expected.detach())


def test_losses_are_reweighted_when_they_should_be():
    counts = torch.tensor([100.0, 10.0])
    at = losses_for({"loss": "ldam", "reweighted_from": 0.8}, counts)
    assert at(0.79).loss.weight is None
    late = at(0.8)
    assert isinstance(late, LDAMLoss)
    expected = effective_number_weights([100, 10])
    np.testing.assert_allclose(late.loss.weight / late.loss.weight[0], expected / expected[0], rtol=1e-5)
    assert (late.loss.weight * counts).sum().item() == pytest.approx(110)
    plain = losses_for({}, counts)
    assert plain(0.0) is plain(1.0)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run the command on small data and a small scale."""
    sets = {"train": images(240, 0), "test": images(60, 1)}
    monkeypatch.setattr(run, "load_cifar10", lambda root, part, download: sets[part])
    config = units.load_config("cifar10")
    config["cpu"] |= {"network": NETWORK, "rows": 200, "meta_steps": 1, "scores": 1}
    loaded = {"cifar10": config, "rows": units.load_config("rows")}
    monkeypatch.setattr(units, "load_config", loaded.__getitem__)

    def call(*arguments):
        monkeypatch.setattr(
            sys, "argv", ["run", "--results", str(tmp_path), "--jobs", "1", "--device", "cpu", *arguments]
        )
        threads = torch.get_num_threads()
        try:
            run.main()
        finally:
            torch.set_num_threads(threads)
        return tmp_path

    return call


def test_runs_are_kept_and_not_repeated(command, capsys):
    arguments = ("--rows", "naive", "metabalance", "--imbalance", "severe", "--runs", "2")
    folder = command(*arguments)
    assert "4 runs in" in capsys.readouterr().out
    paths = sorted(folder.rglob("*.json"))
    assert [str(path.relative_to(folder)) for path in paths] == [
        f"cifar10-cpu/severe/{row}/{seed}.json" for row in ("metabalance", "naive") for seed in (0, 1)
    ]
    found = json.loads(paths[1].read_text())
    data = {"title": "tints", "classes": list(CLASSES), "train": [5, 80, 5], "majority": 1}
    assert found["data"] == data
    assert found["recipe"]["inner_lr"] == 0.01
    assert len(found["curve"][-1]["test"]) == 3
    paths[0].unlink()
    command(*arguments)
    assert "1 runs in" in capsys.readouterr().out


def test_a_command_broken_off_goes_on_from_its_checkpoint(command, tmp_path, monkeypatch):
    arguments = ("--rows", "over-mixup", "--imbalance", "severe", "--runs", "1")
    units.load_config("cifar10")["cpu"] |= {"rows": 600, "scores": 3}
    monkeypatch.setattr(units, "CHECKPOINT_SECONDS", 0.0)
    path = command(*arguments) / "cifar10-cpu/severe/over-mixup/0.json"
    whole = json.loads(path.read_text())
    path.unlink()
    save = units._save

    def save_and_stop(*parts):
        save(*parts)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(units, "_save", save_and_stop)
        with pytest.raises(SystemExit, match="130"):
            command(*arguments)
    part = json.loads(path.read_text())
    assert (part["unfinished"], len(part["curve"])) == (whole["curve"][-1]["update"], 1)
    command(*arguments)
    gone_on = json.loads(path.read_text())
    assert "unfinished" not in gone_on
    assert [file.name for file in path.parent.iterdir()] == ["0.json"]
    for record in (*whole["curve"], *gone_on["curve"]):
        del record["seconds"]
    assert gone_on["curve"] == whole["curve"]
    # A checkpoint of another recipe is of a run that was deleted: it is not gone on from.
    torch.save({"made_of": {"recipe": "another"}}, path.with_suffix(".checkpoint"))
    path.unlink()
    command(*arguments)
    again = json.loads(path.read_text())
    for record in again["curve"]:
        del record["seconds"]
    assert again["curve"] == whole["curve"]


def test_runs_by_another_recipe_and_damaged_ones_are_not_taken_for_done(command, capsys):
    folder = command("--rows", "naive", "--imbalance", "severe", "--runs", "1")
    path = folder / "cifar10-cpu/severe/naive/0.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"recipe": found["recipe"] | {"lr": 7.0}}))
    with pytest.raises(SystemExit, match="2"):
        command("--rows", "naive", "--imbalance", "severe", "--runs", "1")
    assert re.search(r"naive/0\.json was made with recipe .*'lr': 7\.0.*delete it", capsys.readouterr().err)
    path.write_text(json.dumps(found)[:100])
    with pytest.raises(SystemExit, match="2"):
        command("--rows", "naive", "--imbalance", "severe", "--runs", "1")
    assert re.search(r"error: .*naive/0\.json is damaged .*: delete it", capsys.readouterr().err)


def test_a_run_that_diverges_is_kept_as_such(command, monkeypatch):
    def diverge(*arguments):
        raise FloatingPointError("the loss is nan")

    monkeypatch.setattr(Training, "run", diverge)
    folder = command("--rows", "naive", "--imbalance", "severe", "--runs", "1")
    found = json.loads((folder / "cifar10-cpu/severe/naive/0.json").read_text())
    assert (found["failure"], found["curve"]) == ("the loss is nan", [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "magic"], "invalid choice: 'magic'"),
        (["--runs", "0"], "--runs must be at least 1, got 0"),
        (["--imbalance", "mild"], "invalid choice: 'mild'"),
    ],
)
def test_bad_arguments(command, capsys, arguments, message):
    with pytest.raises(SystemExit) as error:
        command(*arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_data_that_are_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run", "--data-root", str(tmp_path), "--results", str(tmp_path / "r")])
    with pytest.raises(SystemExit, match="2"):
        run.main()
    assert "holds none of the files of CIFAR-10" in capsys.readouterr().err
