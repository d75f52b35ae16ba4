"""A table as people have them, in the formats they have it in, and the command run in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metabalance.cli.main import app

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run ``metabalance`` with these arguments; an exception that gets through fails the test."""

    def invoke(*args: Any) -> Any:
        return CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)

    return invoke


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """Text with commas, line breaks and blanks, true/false, missing numbers, an identifier, a rare class."""
    rng = np.random.default_rng(0)
    rare = np.arange(160) % 8 == 0
    return pd.DataFrame(
        {
            "id": np.arange(160),
            "amount": rng.lognormal(size=160) + 2 * rare,
            "city": rng.choice(["Bern", "Zoë, A\nB", ""], 160),
            "new": rng.random(160) < 0.5,
            "income": np.where(rng.random(160) < 0.3, np.nan, rng.normal(size=160)),
            "Klasse ä": np.where(rare, "fraud", "ok"),
        }
    )


@pytest.fixture(scope="session")
def files(people: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table in all formats, and with tables that cannot be used."""
    folder = tmp_path_factory.mktemp("files")
    people.to_csv(folder / "people.csv", index=False)
    people.to_csv(folder / "people.csv.gz", index=False)
    people.to_csv(folder / "people.tsv", index=False, sep="\t")
    people.to_parquet(folder / "people.parquet", index=False)
    people.to_csv(folder / "excel.csv", index=False, encoding="utf-8-sig")
    people.to_csv(folder / "semicolons.csv", index=False, sep=";")
    people.to_csv(folder / "rownumbers.csv")
    people.assign(amount=np.inf).to_csv(folder / "infinite.csv", index=False)
    people.assign(day=pd.Timestamp("2020-01-01")).to_parquet(folder / "dates.parquet")
    people.drop(columns=["city", "new"]).to_csv(folder / "lacking.csv", index=False)
    people.assign(prediction="ok").to_csv(folder / "predicted.csv", index=False)
    people.assign(price=people["amount"], same="x").to_csv(folder / "targets.csv", index=False)
    lonely = people.drop(columns=["city"])
    lonely["Klasse ä"] = np.where(lonely["id"] == 0, "fraud", "ok")
    lonely.to_csv(folder / "lonely.csv", index=False)
    (folder / "empty.csv").touch()
    (folder / "header.csv").write_text("a,b,y\n")
    (folder / "onerow.csv").write_text("a,b,y\n1,2,0\n")
    (folder / "twice.csv").write_text("a,a,y\n1,2,0\n3,4,1\n")
    (folder / "table.xlsx").write_bytes(b"PK\x03\x04")
    return folder


@pytest.fixture(scope="session")
def model(run: Run, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that the command trained on the table, without its identifier."""
    folder = tmp_path_factory.mktemp("models") / "not there yet" / "model"
    result = run(
        "fit", files / "people.csv", "--target", "Klasse ä", "--drop", "id", "--epochs", 2, "--out", folder
    )
    assert result.exit_code == 0
    return folder
