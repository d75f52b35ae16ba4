"""The scripts of examples/ do what they say, as far as one machine can tell."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import make_classification

from metabalance import MetaBalanceClassifier

CLUSTER = Path(__file__).parent.parent / "examples" / "cluster"
# Slurm's commands, for a job whose nodes are all this machine.
SRUN = """#!/bin/bash
shift 6
for node in $(seq "$SLURM_NNODES"); do "$@" & done
status=0
for job in $(jobs -p); do wait "$job" || status=1; done
exit $status
"""
SCONTROL = """#!/bin/sh
echo localhost
"""


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """What a job finds in its environment."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, script in (("srun", SRUN), ("scontrol", SCONTROL)):
        (commands / name).write_text(script)
        (commands / name).chmod(0o755)
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    job = {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
    }
    with socket.socket() as free:
        free.bind(("", 0))
        job["MASTER_PORT"] = str(free.getsockname()[1])
    return {**os.environ, **job, "PATH": path, "METABALANCE_OPTIONS": "--epochs 2"}


def test_a_fit_on_two_nodes(slurm, tmp_path: Path) -> None:
    X, y = make_classification(600, 4, n_redundant=0, weights=[0.9], random_state=0)
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame.assign(late=y).to_parquet(tmp_path / "rows.parquet")
    command = [
        "bash",
        str(CLUSTER / "fit.slurm"),
        str(tmp_path / "rows.parquet"),
        "late",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, env=slurm, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("written: ") == 1
    model = MetaBalanceClassifier.load(tmp_path / "run" / "model", device="cpu")
    assert model.meta_steps == 2
    assert model.predict_proba(frame).shape == (600, 2)
    assert (tmp_path / "run" / "kept" / "training.checkpoint").exists()


@pytest.mark.parametrize("name", ["fit.slurm", "compare.slurm"])
def test_scripts_can_be_read(name: str) -> None:
    subprocess.run(["bash", "-n", str(CLUSTER / name)], check=True)


def test_the_cluster_file_passes_rays_own_check() -> None:
    util = pytest.importorskip("ray.autoscaler._private.util", reason="the extra ray is not installed")
    import yaml

    content = yaml.safe_load((CLUSTER / "ray-cluster.yaml").read_text(encoding="utf-8"))
    util.validate_config(util.prepare_config(content))
