"""One outer update of the paper's fraud network against its peers and against one ordinary SGD step.

    python -m benchmarks.outer_update --out docs/speed/outer_update.json

The network is 29-16-24-20-24-1 with dropout 0.5 after its second layer (appendix A.1 of the paper), the loss
binary cross-entropy, S = 80 meta steps with 24 support and 16 query rows each, on one CPU thread. Before
anything is timed, every way to compute the exact update is checked to move the parameters alike (without
dropout, whose masks differ).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks import peers
from benchmarks.markdown import as_table
from benchmarks.timing import measure, timing_frame, torch_threads, write_results
from metabalance import MetaGradient
from metabalance.nn import MLP

COMMAND = "python -m benchmarks.outer_update --out docs/speed/outer_update.json"
SGD = "plain SGD step"
LOOP = "create_graph loop"
TORCHOPT = "TorchOpt MetaSGD"
HIGHER = "higher innerloop_ctx"
COMPILED = "compiled, exact"
FIRST = "compiled, first order"

TARGETS = (
    # what, numerator, denominator, is the ratio to be at least (or at most) the target
    (LOOP, "vectorized, exact", ">=", 12.0),
    (LOOP, COMPILED, ">=", 35.0),
    (TORCHOPT, COMPILED, ">=", 60.0),
    (HIGHER, COMPILED, ">=", 80.0),
    (COMPILED, SGD, "<=", 1.2),
    (FIRST, SGD, "<=", 0.8),
)


def binary_loss(output: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of a single logit."""
    return binary_cross_entropy_with_logits(output.squeeze(-1), target)


def random_batches(meta_steps: int) -> tuple[peers.Pair, peers.Pair]:
    """Support and query batches of 24 and 16 rows with 29 features."""
    generator = torch.Generator().manual_seed(0)

    def batch(rows: int) -> peers.Pair:
        x = torch.randn(meta_steps, rows, 29, generator=generator)
        return x, torch.randint(2, (meta_steps, rows), generator=generator).float()

    return batch(24), batch(16)


def fraud_task(meta_steps: int = 80) -> peers.Task:
    """The fraud network, the same at every call, and random batches of its shape."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MLP(29, 1, hidden_sizes=(16, 24, 20, 24), dropout=(0, 0.5, 0, 0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    support, query = random_batches(meta_steps)
    return peers.Task(model, binary_loss, optimizer, 0.01, support, query)


def ours(task: peers.Task, engine: str, order: str = "exact") -> Callable[[], None]:
    """This library's update."""
    meta = MetaGradient(task.model, task.loss_fn, inner_lr=task.inner_lr, order=order, engine=engine)

    def update() -> None:
        task.optimizer.zero_grad()
        meta.backward(task.support, task.query)
        task.optimizer.step()

    return update


def exact_ways() -> dict[str, Callable[[peers.Task], Callable[[], None]]]:
    """Every way to compute the exact update, by name."""
    return {
        LOOP: peers.create_graph_loop,
        TORCHOPT: peers.torchopt_metasgd,
        HIGHER: peers.higher_innerloop,
        "loop, exact": lambda task: ours(task, "loop"),
        "vectorized, exact": lambda task: ours(task, "vectorized"),
        COMPILED: lambda task: ours(task, "compiled"),
    }


def check_that_updates_agree(updates: int = 3) -> None:
    """Raise RuntimeError unless all ways move the parameters alike, with dropout off."""
    found: dict[str, list[Tensor]] = {}
    for name, way in exact_ways().items():
        task = fraud_task(meta_steps=5)
        task.model.eval()
        update = way(task)
        for _ in range(updates):
            update()
        found[name] = [parameter.detach() for parameter in task.model.parameters()]
    for name, parameters in found.items():
        for one, other in zip(parameters, found[LOOP], strict=True):
            if not torch.allclose(one, other, rtol=1e-4, atol=1e-6):
                raise RuntimeError(f"{name} does not compute the same update as the {LOOP}")


def candidates() -> dict[str, Callable[[], None]]:
    """All that is timed, each with a network of its own."""
    made: dict[str, Callable[[], None]] = {SGD: peers.sgd_step(fraud_task())}
    made |= {name: way(fraud_task()) for name, way in exact_ways().items()}
    for engine in ("loop", "vectorized", "compiled"):
        made[f"{engine}, first order"] = ours(fraud_task(), engine, "first")
    return made


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=60)
    arguments = parser.parse_args()
    with torch_threads(1):
        check_that_updates_agree()
    timings = measure(candidates(), repeats=arguments.repeats, shortest=0.05)
    frame = timing_frame(timings, baseline=SGD)
    print(as_table(frame, digits=2))
    print()
    ratios = []
    for numerator, denominator, sense, target in TARGETS:
        middle, least, most = timings[numerator].ratio_to(timings[denominator])
        met = middle >= target if sense == ">=" else middle <= target
        ratios.append(
            {"ratio": f"{numerator} ÷ {denominator}", "median": round(middle, 2), "min": round(least, 2)}
            | {"max": round(most, 2), "target": f"{sense} {target:g}", "met": met}
        )
        print(
            f"{numerator} ÷ {denominator}: {middle:.2f} ({least:.2f}–{most:.2f}), target {sense} {target:g}: "
            f"{'met' if met else 'MISSED'}"
        )
    write_results(
        arguments.out,
        COMMAND,
        {"timings": {name: timing.summary() for name, timing in timings.items()}, "ratios": ratios},
    )


if __name__ == "__main__":
    main()
