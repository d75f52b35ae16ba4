"""One meta step of ResNet-18 on 32×32 images against a plain forward and backward pass on the same images.

    python -m benchmarks.images --out docs/speed/images.json

Support 20 and query 30 images, BatchNorm in training mode, one CPU thread. Counting convolutions, the exact
step costs 1.8 plain passes: for a support image 9 where a plain pass has 3, for a query image 3.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.markdown import as_table
from benchmarks.timing import measure, timing_frame, write_results
from metabalance import MetaGradient
from metabalance.nn import ResNet

COMMAND = "python -m benchmarks.images --out docs/speed/images.json"
SUPPORT, QUERY = 20, 30
PLAIN = "plain pass"
LAYOUTS = {"": torch.contiguous_format, ", channels-last": torch.channels_last}
TARGETS = (("exact", 1.9), ("first order", 1.0))


def images(rows: int) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 3, 32, 32, generator=generator), torch.randint(10, (rows,), generator=generator)


def resnet(layout: torch.memory_format) -> nn.Module:
    """The same ResNet-18 at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = ResNet(n_outputs=10)
    return model.to(memory_format=layout)


def plain_pass(layout: torch.memory_format) -> Callable[[], None]:
    """Forward and backward on all images at once."""
    model, (x, y) = resnet(layout), images(SUPPORT + QUERY)
    x = x.contiguous(memory_format=layout)

    def run() -> None:
        model.zero_grad()
        cross_entropy(model(x), y).backward()

    return run


def meta_step(layout: torch.memory_format, order: str, autocast: bool = False) -> Callable[[], None]:
    """One meta step of the loop engine."""
    model = resnet(layout)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.01, order=order)
    support, query = (
        (x.contiguous(memory_format=layout).unsqueeze(0), y.unsqueeze(0))
        for x, y in (images(SUPPORT), images(QUERY))
    )

    def run() -> None:
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            meta.backward(support, query)

    return run


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    candidates: dict[str, Callable[[], None]] = {}
    for name, layout in LAYOUTS.items():
        candidates[PLAIN + name] = plain_pass(layout)
        for order, title in (("exact", "exact"), ("first", "first order")):
            candidates[title + name] = meta_step(layout, order)
    candidates["exact, bfloat16 autocast"] = meta_step(torch.contiguous_format, "exact", autocast=True)
    timings = measure(candidates, repeats=arguments.repeats, warmup=2)
    print(as_table(timing_frame(timings, baseline=PLAIN), digits=2), "\n")
    ratios = []
    for name, target in TARGETS:
        middle, least, most = timings[name].ratio_to(timings[PLAIN])
        ratios.append({"ratio": f"{name} ÷ {PLAIN}", "median": round(middle, 3), "min": round(least, 3)})
        ratios[-1] |= {"max": round(most, 3), "target": f"<= {target:g}", "met": middle <= target}
        print(
            f"{name} ÷ {PLAIN}: {middle:.2f} ({least:.2f}–{most:.2f}), target <= {target:g}: "
            f"{'met' if middle <= target else 'MISSED'}"
        )
    summaries = {name: timing.summary() for name, timing in timings.items()}
    write_results(arguments.out, COMMAND, {"timings": summaries, "ratios": ratios})


if __name__ == "__main__":
    main()
