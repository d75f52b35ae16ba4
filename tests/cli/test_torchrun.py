"""``metabalance fit`` under torchrun, as it is typed."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metabalance import MetaBalanceClassifier
from metabalance.cli.data import load_data

FIT = ("fit", "breast-cancer-rare", "--epochs", "2")


def torchrun(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Two processes, of one thread each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "metabalance"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_processes_fit_one_network_and_the_first_one_says_so(tmp_path: Path) -> None:
    done = torchrun(*FIT, "--out", tmp_path / "model", "--checkpoint", tmp_path / "run", "--resume")
    assert done.returncode == 0, done.stderr
    assert len(re.findall("best epoch", done.stdout)) == len(re.findall("written: ", done.stdout)) == 1
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["training.checkpoint"]
    loaded = MetaBalanceClassifier.load(tmp_path / "model", device="cpu")
    assert loaded.meta_steps == 2
    X, y = load_data("breast-cancer-rare", None, [], None, {})[0].training_part()
    alone = MetaBalanceClassifier(meta_steps=2, max_epochs=2, random_state=0).fit(X, y)
    # Other dropout masks, the same batches.
    assert np.abs(loaded.predict_proba(X) - alone.predict_proba(X)).mean() < 0.1


KILLED_ONCE = """
import os, signal
from torch import distributed
from metabalance.cli.processes import torchrun_group
with torchrun_group():
    if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) == ("1", "0"):
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.barrier()
    print("met again")
"""


def test_a_killed_process_is_started_again_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "killed_once.py").write_text(KILLED_ONCE)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    done = subprocess.run(
        [*command, str(tmp_path / "killed_once.py")], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("met again") == 2


HELD_IN_A_CIRCLE = """
import os
from pathlib import Path
from torch import distributed
from metabalance.cli.processes import torchrun_group
def threads():
    names = [file.read_text() for file in Path("/proc/self/task").glob("*/comm")]
    return sum("gloo" in name for name in names)
with torchrun_group():
    holder = [distributed.group.WORLD]
    holder.append(holder)
    del holder
    distributed.barrier()
    during = threads()
Path(f"{__file__}.{os.environ['RANK']}").write_text(f"{during > 0} {threads()}")
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux lists them")
def test_threads_of_the_group_end_with_it(tmp_path: Path) -> None:
    """Those that are left may abort a process that ends well."""
    script = tmp_path / "held.py"
    script.write_text(HELD_IN_A_CIRCLE)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [Path(f"{script}.{rank}").read_text() for rank in (0, 1)] == ["True 0", "True 0"]


def test_other_commands_say_that_they_do_not_share_out(tmp_path: Path) -> None:
    for arguments, message in (
        (("strategies",), "under torchrun, processes train one network together: only `fit`"),
        (
            (*FIT, "--out", tmp_path / "model", "--sampler", "over"),
            "--sampler trains in one process: leave out torchrun",
        ),
        (
            (*FIT, "--out", tmp_path / "model", "--meta-steps", "1"),
            "2 processes cannot share out 1 meta",
        ),
    ):
        done = torchrun(*arguments)
        assert done.returncode != 0
        assert message in done.stderr
        assert "metabalance/cli" not in done.stderr  # no traceback of ours
    assert not list(tmp_path.iterdir())


def test_messages_say_whose_they_are(run, monkeypatch) -> None:
    assert run("compare", "nothing").stderr.startswith("error: ")
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    found = run("fit", "nothing", "--out", "model")
    assert found.stderr.startswith("error in process 1: 'nothing' is neither a file")
