"""What is lost where one of many processes is killed: a rank of a fit, a worker of a cluster, the driver.

    python -m benchmarks.faults_processes --kills 20 --out docs/speed/faults_processes.json

A rank: torchrun fits a network with two processes; one of them, drawn at random, is killed (SIGKILL) at a
moment drawn at random over the whole of the run, and torchrun starts both again. A worker and the driver: a
comparison on a Ray cluster of two nodes with one processor each, on this machine; the driver is started again
with ``--resume``. What counts as exact: the same bits in every parameter, and every score, as in a run in
which nothing was killed.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import metabalance as mb
from benchmarks.faults import SMALL, children_of, digest, rows
from benchmarks.timing import write_results
from metabalance.cli.processes import torchrun_group

FIT = mb.MetaBalanceClassifier(**{**SMALL, "max_epochs": 60}, meta_steps=4, early_stopping=60)
COMPARE = "compare breast-cancer-rare --methods naive,metabalance --epochs 6 --cv 3 --seeds 2 --backend ray"
COMMAND = "python -m benchmarks.faults_processes --kills {} --out docs/speed/faults_processes.json"


def be_a_rank(folder: Path) -> None:
    """Fit as one of the processes; the first one writes the digest, and a checkpoint every tenth update."""
    kept = mb.Checkpoint(folder, every_seconds=None, every_updates=10)
    with torchrun_group() as group:
        FIT.fit(*rows(), checkpoint=kept, resume=True, process_group=group)
    if os.environ["RANK"] == "0":
        (folder / "digest").write_text(digest(FIT))


def started_ranks(folder: Path) -> "subprocess.Popen[bytes]":
    """Start a fit by two processes."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "3"]
    work = ["-m", "benchmarks.faults_processes", "--rank-in", str(folder)]
    return subprocess.Popen([*command, *work], stdout=subprocess.DEVNULL, stderr=(folder / "log").open("wb"))


def kill_ranks(times: int, rng: np.random.Generator, root: Path) -> dict[str, int]:
    """Kill a rank once in each fit."""
    started = time.perf_counter()
    started_ranks(root / "whole").wait()
    seconds, wanted = time.perf_counter() - started, (root / "whole" / "digest").read_text()
    counts = {"kills": 0, "with a checkpoint": 0, "completed": 0, "exact": 0}
    while counts["kills"] < times:
        folder = root / f"{counts['kills']}-{time.time_ns()}"
        run = started_ranks(folder)
        time.sleep(rng.uniform(0, seconds))
        ranks = children_of(run.pid)
        if not ranks:  # not begun, or ended
            run.kill()
            run.wait()
            continue
        os.kill(int(rng.choice(ranks)), signal.SIGKILL)
        counts["kills"] += 1
        counts["with a checkpoint"] += any(folder.glob("*.checkpoint"))
        done = run.wait() == 0
        counts["completed"] += done
        counts["exact"] += done and (folder / "digest").read_text() == wanted
        if not done:
            print((folder / "log").read_text()[-3000:], flush=True)
    return counts


def scores_of(folder: Path) -> str:
    """What a comparison has found, without the seconds it took."""

    def without_seconds(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: without_seconds(each)
                for name, each in value.items()
                if "second" not in name and name != "dur"
            }
        return [without_seconds(each) for each in value] if isinstance(value, list) else value

    content = without_seconds(json.loads((folder / "results.json").read_text()))
    for name in ("command", "settings", "environment", "sha256"):
        content.pop(name, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def started_driver(folder: Path, address: str) -> "subprocess.Popen[bytes]":
    """Start a comparison on the cluster, or go on with it."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--address", address, "--report", str(folder), "--checkpoint", str(folder / "run"), "--resume"]
    command = [sys.executable, "-m", "metabalance", *COMPARE.split(), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("ab"))


def working() -> list[int]:
    """Process numbers of the workers at work, of the cluster that this process has started."""
    descendants = children_of(os.getpid())
    for number in descendants:  # which grows while it is gone through
        with suppress(OSError):  # it has ended
            descendants += children_of(number)
    found = []
    for number in descendants:
        with suppress(OSError):
            name = Path(f"/proc/{number}/cmdline").read_bytes()
            if name.startswith(b"ray::_do_and_keep"):  # what keeps results of a run
                found.append(number)
    return found


def kill_workers(times: int, rng: np.random.Generator, root: Path, address: str) -> dict[str, int]:
    """Kill a worker of the cluster at work, once in each comparison."""

    def kill(driver: "subprocess.Popen[bytes]") -> bool:
        workers = working()
        if workers:
            os.kill(int(rng.choice(workers)), signal.SIGKILL)
        return bool(workers)

    return _kill_comparisons(times, rng, root, address, kill)


def kill_drivers(times: int, rng: np.random.Generator, root: Path, address: str) -> dict[str, int]:
    """Kill the driver, once in each comparison, and start it again."""

    def kill(driver: "subprocess.Popen[bytes]") -> bool:
        if driver.poll() is not None:
            return False
        driver.kill()
        return True

    return _kill_comparisons(times, rng, root, address, kill, again=True)


def _kill_comparisons(
    times: int,
    rng: np.random.Generator,
    root: Path,
    address: str,
    kill: Callable[["subprocess.Popen[bytes]"], bool],
    again: bool = False,
) -> dict[str, int]:
    started = time.perf_counter()
    started_driver(root / "whole", address).wait()
    seconds, wanted = time.perf_counter() - started, scores_of(root / "whole")
    counts = {"kills": 0, "with results kept": 0, "completed": 0, "exact": 0}
    while counts["kills"] < times:
        folder = root / f"{counts['kills']}-{time.time_ns()}"
        driver = started_driver(folder, address)
        time.sleep(rng.uniform(0, seconds))
        if not kill(driver):  # nobody was at work
            driver.kill()
            driver.wait()
            continue
        counts["kills"] += 1
        counts["with results kept"] += len(list((folder / "run").glob("*.json"))) > 1
        done = driver.wait() == 0
        if again:
            done = started_driver(folder, address).wait() == 0
        counts["completed"] += done
        counts["exact"] += done and scores_of(folder) == wanted
        if not done:
            print((folder / "log").read_text()[-3000:], flush=True)
    return counts


@contextmanager
def cluster() -> Iterator[str]:
    """A Ray cluster of two nodes with one processor each; gives its address."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    try:
        yield nodes.address
    finally:
        nodes.shutdown()


def main() -> None:
    """Run the campaign and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rank-in", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--only", choices=("rank", "worker", "driver"), help="what to kill; the rest of --out stays as it is"
    )
    arguments = parser.parse_args()
    if arguments.rank_in:
        be_a_rank(arguments.rank_in)
        return
    rng = np.random.default_rng(arguments.seed)
    results: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as kept:
        root = Path(kept)
        if arguments.only in (None, "rank"):
            results["rank"] = kill_ranks(arguments.kills, rng, root / "rank")
            print(f"rank: {json.dumps(results['rank'])}", flush=True)
        if arguments.only != "rank":
            with cluster() as address:
                for name, campaign in (("worker", kill_workers), ("driver", kill_drivers)):
                    if arguments.only in (None, name):
                        results[name] = campaign(arguments.kills, rng, root / name, address)
                        print(f"{name}: {json.dumps(results[name])}", flush=True)
    if arguments.out:
        if arguments.only and arguments.out.exists():
            known = json.loads(arguments.out.read_text())
            results = {name: known[name] for name in ("rank", "worker", "driver") if name in known} | results
        write_results(arguments.out, COMMAND.format(arguments.kills), results)


if __name__ == "__main__":
    main()
