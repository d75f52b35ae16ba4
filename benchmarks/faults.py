"""What is lost where a process is killed, the disk is full or a file is cut short.

    python -m benchmarks.faults

Fits, saves and comparisons run in processes of their own and are killed (SIGKILL) at moments drawn at random
over the whole of their work; then the same call is made again with ``resume=True``. What counts as exact: the
same bits in every parameter and every score as in a run that was never killed. A full disk is a limit on the
size of files, kept by the operating system, so that writing fails in the middle.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import make_classification

import metabalance as mb
from benchmarks.timing import write_results
from metabalance.estimators.base import ImbalancedClassifier
from metabalance.evaluation.comparison import fold_to_json

SMALL = {"n_members": 4, "hidden_sizes": (16,), "max_epochs": 4, "random_state": 0}
Work = Callable[[Path], str]


def rows(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """A small imbalanced table."""
    X, y = make_classification(n, 6, n_informative=4, weights=[0.9], random_state=0)
    return X, y


def images() -> tuple[np.ndarray, np.ndarray]:
    """A few small images of three classes."""
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(90, 3, 8, 8), dtype=np.uint8), np.arange(90) % 3


def digest(net: ImbalancedClassifier) -> str:
    """Return what is the same only where every bit of a fit is."""
    seen = hashlib.sha256()
    for name, tensor in sorted(net.module_.state_dict().items()):
        seen.update(name.encode() + tensor.numpy().tobytes())
    epochs = [{name: value for name, value in epoch.items() if name != "dur"} for epoch in net.history_]
    seen.update(repr((epochs, net.calibrations_, net.rows_drawn_)).encode())
    return seen.hexdigest()


FITS: dict[str, tuple[mb.MetaBalanceClassifier | mb.NeuralClassifier, Callable[[], Any]]] = {
    "MetaBalance": (mb.MetaBalanceClassifier(**SMALL), rows),
    "MetaBalance at θ′, images, CutMix": (
        mb.MetaBalanceClassifier(
            max_epochs=2, random_state=0, query_sampler="over", augment="crop-and-flip", mixing="cutmix"
        ),
        images,
    ),
    "plain, momentum": (mb.NeuralClassifier(**SMALL, optimizer="sgd", sampler="over"), rows),
    "plain, SMOTE, trained again": (
        mb.NeuralClassifier(**{**SMALL, "max_epochs": 2}, sampler="smote", refit=True),
        rows,
    ),
}


def fit(name: str, folder: Path) -> str:
    """Fit, or go on with it, and return the digest; a checkpoint after every third update."""
    net, data = FITS[name]
    kept = mb.Checkpoint(folder, every_seconds=None, every_updates=3)
    return digest(type(net)(**net.get_params()).fit(*data(), checkpoint=kept, resume=True))


FIT = partial(fit, "MetaBalance")


def compare(folder: Path, n_jobs: int = 1) -> str:
    """Compare two methods on four folds, or go on with it, and return a digest of all but the seconds."""
    comparison = mb.compare(
        *rows(300),
        methods=["naive", "logistic-regression"],
        cv=4,
        max_epochs=2,
        network={"n_members": 2, "hidden_sizes": (8,)},
        checkpoint=folder,
        resume=True,
        n_jobs=n_jobs,
    )
    kept = []
    for result in comparison.results:
        stored = fold_to_json(result)
        del stored["fit_seconds"], stored["predict_seconds"]
        for epoch in stored["history"]:
            epoch.pop("dur", None)
        kept.append(stored)
    return hashlib.sha256(repr(kept).encode()).hexdigest()


def in_child(work: Work, folder: Path, kill_after: float | None = None) -> tuple[str | None, float]:
    """Do it in a forked process; return what that returned, or None where it was killed, and its seconds."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    started = time.perf_counter()
    child = os.fork()
    if not child:
        _be_child(work, folder, sender)
    sender.close()
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    answer = None
    if receiver.poll(None):
        try:
            answer = receiver.recv()
        except EOFError:
            answer = None
    os.waitpid(child, 0)
    return answer, time.perf_counter() - started


def _be_child(work: Work, folder: Path, sender: Any) -> None:
    try:
        torch.set_num_threads(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sender.send(work(folder))
        sender.close()
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def kill_and_resume(work: Work, times: int, rng: np.random.Generator, root: Path) -> dict[str, int]:
    """Kill it at random moments of its work, once in each folder, and let it go on."""
    wanted, seconds = in_child(work, root / "whole")
    counts = {"kills": 0, "with a checkpoint": 0, "exact": 0}
    while counts["kills"] < times:
        folder = root / f"killed-{counts['kills']}"
        answer, _ = in_child(work, folder, kill_after=rng.uniform(0, seconds))
        if answer is not None:  # it had ended before
            shutil.rmtree(folder)
            continue
        counts["kills"] += 1
        counts["with a checkpoint"] += any(folder.glob("[!.]*"))
        found, _ = in_child(work, folder)
        counts["exact"] += found == wanted
        if found != wanted:
            print(f"not exact: {folder.name}: {found}")
    return counts


def kill_saves(times: int, rng: np.random.Generator, root: Path) -> dict[str, int]:
    """Kill a process that saves two models over one another, and see whose the folder holds."""
    models = [mb.NeuralClassifier(**{**SMALL, "max_epochs": 1, "random_state": seed}) for seed in (0, 1)]
    folder = root / "model"

    def fit_models(folder: Path) -> str:
        for seed, model in enumerate(models):
            model.fit(*rows()).save(folder / str(seed))
        return " ".join(digest(mb.NeuralClassifier.load(folder / str(seed))) for seed in (0, 1))

    kept = in_child(fit_models, root)[0]
    assert kept is not None
    digests = kept.split()

    def save_over_and_over(folder: Path) -> str:
        loaded = [mb.NeuralClassifier.load(root / str(seed), device="cpu") for seed in (0, 1)]
        loaded[0].save(folder)
        while True:
            for net in loaded[::-1]:
                net.save(folder)

    whole = 0
    for _ in range(times):
        in_child(save_over_and_over, folder, kill_after=0.15 + rng.uniform(0, 0.1))
        found, _ = in_child(lambda folder: digest(mb.NeuralClassifier.load(folder)), folder)
        whole += found in digests
    return {"kills": times, "whole": whole}


def fill_disk(times: int, rng: np.random.Generator, root: Path) -> dict[str, int]:
    """Let files end at random sizes while checkpoints are written: the fit ends well, the last is whole."""
    wanted, _ = in_child(FIT, root / "whole")
    size = (root / "whole" / "training.checkpoint").stat().st_size
    exact = readable = 0
    for number in range(times):
        folder, limit = root / str(number), int(rng.uniform(0, size))

        def work(folder: Path, limit: int = limit) -> str:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            return fit("MetaBalance", folder)

        found, _ = in_child(work, folder)
        exact += found == wanted
        resumed, _ = in_child(FIT, folder)
        readable += resumed == wanted and not list(folder.glob(".*.tmp"))
    return {"fits on a full disk": times, "exact": exact, "exact afterwards": readable}


def truncate(times: int, rng: np.random.Generator, root: Path) -> dict[str, int]:
    """Cut a checkpoint short at random places: every time, one error that names the file."""
    in_child(FIT, root / "whole")
    content = (root / "whole" / "training.checkpoint").read_bytes()
    refused = 0
    for number in range(times):
        folder = root / str(number)
        folder.mkdir()
        (folder / "training.checkpoint").write_bytes(content[: rng.integers(len(content))])
        found, _ = in_child(FIT, folder)
        refused += found is not None and found.startswith("ValueError: the checkpoint") and "damaged" in found
    return {"cut short": times, "refused": refused}


def kill_workers(times: int, rng: np.random.Generator, root: Path) -> dict[str, int]:
    """Kill a worker process of a comparison with two of them, and go on with it."""
    wanted, _ = in_child(compare, root / "whole")
    told = exact = 0
    for number in range(times):
        folder, after = root / str(number), rng.uniform(0.0, 1.0)

        def work(folder: Path, after: float = after) -> str:
            def kill_one() -> None:
                while not (workers := children_of(os.getpid())):
                    time.sleep(0.01)
                time.sleep(after)
                os.kill(workers[-1], signal.SIGKILL)

            threading.Thread(target=kill_one, daemon=True).start()
            compare(folder, n_jobs=2)
            return "it ended before"

        answer, _ = in_child(work, folder)
        told += answer is not None and (answer.startswith("ChildProcessError") or answer == "it ended before")
        found, _ = in_child(compare, folder)
        exact += found == wanted
    return {"workers killed": times, "said so or ended": told, "exact": exact}


def children_of(process: int) -> list[int]:
    """Process numbers of the children, by Linux's own list."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(number) for number in listed]


def main() -> None:
    """Run the campaign and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of fits; a fifth as many of everything else")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    few = max(1, arguments.kills // 5)
    each = -(-arguments.kills // len(FITS))
    results: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as kept:
        root = Path(kept)
        for name in FITS:
            results[f"fit: {name}"] = kill_and_resume(partial(fit, name), each, rng, root / name)
            print(f"fit: {name}: {json.dumps(results[f'fit: {name}'])}", flush=True)
        results["comparison"] = kill_and_resume(compare, few, rng, root / "comparison")
        print(f"comparison: {json.dumps(results['comparison'])}", flush=True)
        for title, campaign in (
            ("saving over a model", kill_saves),
            ("full disk", fill_disk),
            ("checkpoint cut short", truncate),
            ("worker process", kill_workers),
        ):
            (root / title).mkdir()
            results[title] = campaign(few, rng, root / title)
            print(f"{title}: {json.dumps(results[title])}", flush=True)
    total = {
        name: sum(each[name] for title, each in results.items() if title.startswith("fit: "))
        for name in ("kills", "exact", "with a checkpoint")
    }
    print(f"all fits: {json.dumps(total)}")
    if arguments.out:
        command = f"python -m benchmarks.faults --kills {arguments.kills} --seed {arguments.seed}"
        write_results(arguments.out, command, {"all fits": total, **results})


if __name__ == "__main__":
    main()
