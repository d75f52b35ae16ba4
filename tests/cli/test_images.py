"""Images on the command line: a folder for each class."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metabalance import MetaBalanceClassifier, NeuralClassifier
from metabalance.nn import ResNet


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noise with a tint: 60 images of one class and 8 of another, one of these of another size."""
    root = tmp_path_factory.mktemp("images") / "parts"
    rng = np.random.default_rng(0)
    for channel, (name, count) in enumerate({"good": 60, "broken": 8}.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(120, size=(10, 8 if number else 9, 3))
            pixels[..., channel] += 80
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


def test_compare_works_as_for_tables(run, folder, tmp_path):
    methods = "over,metabalance@meta,logistic-regression:balanced,smote"
    found = run(
        "compare", folder, "--image-size", 8, "--augment", "crop", "--methods", methods, "--epochs", 1,
        "--cv", 2, "--jobs", 1, "--report", tmp_path,
    )  # fmt: skip
    assert found.exit_code == 0
    assert "parts: 2 splits × 1 seed" in found.stdout
    assert "left out: smote: smote works on tables" in found.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["n_features"] == 3 * 8 * 8
    assert results["class_counts"] == {"good": 60, "broken": 8}
    assert results["settings"]["network"] == {"augment": "'crop'"}
    names = [method["name"] for method in results["methods"]]
    assert names == ["over", "metabalance@meta", "no-adaptation", "logistic-regression:balanced"]
    assert (tmp_path / "report.html").read_text().lower().startswith("<!doctype html>")


def test_fit_and_predict(run, folder, tmp_path):
    fitted = run("fit", folder, "--image-size", 8, "--epochs", 2, "--out", tmp_path / "model")
    assert fitted.exit_code == 0
    model = MetaBalanceClassifier.load(tmp_path / "model")
    assert isinstance(model.module_, ResNet)
    found = run("predict", tmp_path / "model", folder / "broken", "--out", tmp_path / "scored.csv")
    assert found.exit_code == 0
    scored = pd.read_csv(tmp_path / "scored.csv")
    assert list(scored) == ["file", "prediction", "probability_broken", "probability_good"]
    assert scored["file"].tolist() == [str(folder / "broken" / f"{number:02d}.png") for number in range(8)]
    with Image.open(folder / "broken/03.png") as image:
        pixels = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    expected = model.predict_proba(pixels[None])
    np.testing.assert_allclose(
        scored.loc[3, ["probability_broken", "probability_good"]].astype(float), expected[0], rtol=1e-5
    )


def test_arrays(run, tmp_path):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [40, 8])
    np.savez(tmp_path / "scans.npz", images=rng.integers(250, size=(48, 8, 8)).astype(np.uint8), labels=y)
    found = run(
        "compare", tmp_path / "scans.npz", "--methods", "naive", "--epochs", 1, "--cv", 2, "--jobs", 1
    )
    assert found.exit_code == 0
    assert "scans: 2 splits" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}"], "--image-size"),
        (["{folder}", "--target", "good"], "leave out --target and --drop"),
        (["{folder}/good"], "must hold a folder for each of at least two classes, found none"),
        (["breast-cancer-rare", "--image-size", "8"], "--image-size is for folders of images"),
        (["breast-cancer-rare", "--augment", "crop", "--methods", "naive"], "augment='crop' is for images"),
        (
            ["{folder}", "--image-size", "8", "--augment", "spin"],
            "augment must be one of",
        ),
        (["nowhere/"], "neither a file, a folder of images nor a built-in data set"),
    ],
)
def test_mistakes(run, folder, arguments, message):
    found = run("compare", *(argument.format(folder=folder) for argument in arguments), "--jobs", 1)
    assert found.exit_code == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_models_of_one_kind_and_data_of_the_other(run, folder, tmp_path):
    run("fit", folder, "--image-size", 8, "--epochs", 1, "--sampler", "over", "--out", tmp_path / "images")
    run("fit", "breast-cancer-rare", "--epochs", 1, "--sampler", "over", "--out", tmp_path / "table")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    found = run("predict", tmp_path / "images", tmp_path / "table.csv", "--out", tmp_path / "s.csv")
    assert "trained on images of 3 × 8 × 8 pixels" in found.stderr
    found = run("predict", tmp_path / "table", folder, "--out", tmp_path / "s.csv")
    assert "is a folder without Parquet files, but the model was trained on a table" in found.stderr
    X = np.random.default_rng(0).random((40, 3, 8, 8), dtype=np.float32)
    floats = NeuralClassifier(max_epochs=1, random_state=0).fit(X, np.repeat([0, 1], 20))
    floats.save(tmp_path / "floats")
    found = run("predict", tmp_path / "floats", folder, "--out", tmp_path / "s.csv")
    assert "trained on arrays of float32 with 3 channels" in found.stderr
    (tmp_path / "empty").mkdir()
    found = run("predict", tmp_path / "images", tmp_path / "empty", "--out", tmp_path / "s.csv")
    assert "holds no image" in found.stderr
