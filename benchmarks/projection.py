"""What more processes would bring, projected from what one was measured to take. Not a measurement.

    python -m benchmarks.projection

An update of S meta steps by N processes is taken to last

    T(N) = ceil(S / N) · c + u + 2 (N − 1) · α + 2 (N − 1) / N · b / B

with c seconds for a meta step, u for the rest of an update (batches, optimizer), a gradient of b bytes, and
an all-reduce in a ring, whose messages take α seconds each and B bytes a second. Left out: processes that
wait for a slower one, neighbours that share a memory or a cable, and all that overlaps.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SPEED = Path(__file__).parent.parent / "docs" / "speed"
GRADIENT = 4 * 11_173_962  # bytes: ResNet-18 for ten classes, float32
ALONE, MEASURED_ON_GPU = 4, 8  # meta steps of the updates that were measured, in one process
REST_ON_GPU = 2e-3  # seconds of an update beside its meta steps: batches and the optimizer


@dataclass(frozen=True)
class Network:
    """What joins the processes: seconds for a message, and bytes a second."""

    latency: float
    bandwidth: float

    def all_reduce(self, processes: int, size: float) -> float:
        """Seconds for a sum of so many bytes over the processes."""
        return 2 * (processes - 1) * (self.latency + size / processes / self.bandwidth)


# Round figures of what such hardware is sold as; not measured here.
INSIDE_A_MACHINE = Network(latency=5e-6, bandwidth=300e9)  # NVLink
BETWEEN_MACHINES = Network(latency=10e-6, bandwidth=40e9)  # InfiniBand, 400 Gbit/s for each GPU
ETHERNET = Network(latency=50e-6, bandwidth=1.1e9)  # 10 Gbit/s


def seconds(meta_steps: int, step: float, rest: float, processes: int, network: Network) -> float:
    """An update's seconds, as the model has it."""
    share = math.ceil(meta_steps / processes) * step
    return share + rest + network.all_reduce(processes, GRADIENT)


def row(title: str, meta_steps: int, step: float, rest: float, processes: int, network: Network) -> str:
    """A line of the table: seconds of one process and of all, speed-up and efficiency."""
    one = meta_steps * step + rest
    all_of_them = seconds(meta_steps, step, rest, processes, network)
    speed_up = one / all_of_them
    return (
        f"| {title} | {processes} | {meta_steps} | {1e3 * one:,.0f} | {1e3 * all_of_them:,.1f} | "
        f"{speed_up:,.1f} | {speed_up / processes:.0%} |"
    )


def measured_here() -> tuple[float, Network, float]:
    """Seconds of a meta step on a core, what joins two processes of a machine, and their speed-up."""
    found = json.loads((SPEED / "distributed.json").read_text())
    short, long = sorted((int(size), seconds) for size, seconds in found["all_reduce_seconds"].items())
    latency = short[1] / 2
    network = Network(latency, bandwidth=long[0] / (long[1] - short[1]))
    step = median(pair["one process"] for pair in found["seconds"]) / ALONE
    return step, network, found["ratio"]["median"]


def main() -> None:
    """Print the tables in Markdown."""
    core, memory, speed_up = measured_here()
    cuda = json.loads((SPEED / "cuda.json").read_text())["ResNet-18"]
    gpu = cuda["captured"]["median_ms"] / 1e3 / MEASURED_ON_GPU
    print(f"c = {core:.2f} s on a core of the CPU, {1e3 * gpu:.1f} ms on a GPU; b = {GRADIENT / 1e6:.1f} MB.")
    print(
        f"Two processes of a machine: α = {1e6 * memory.latency:.0f} µs, B = {memory.bandwidth / 1e9:.1f} "
        f"GB/s; measured to be {speed_up:.2f} times as fast as one.\n"
    )
    print(
        "| processes | N | S | one process, ms | all, ms | speed-up | of N |\n|---|---|---|---|---|---|---|"
    )
    print(row("two cores of one machine", ALONE, core, 0.0, 2, memory))
    print(row("64 machines with a core each, Ethernet", 64, core, 0.0, 64, ETHERNET))
    for steps in (8, 80):
        print(row("8 GPUs in one machine", steps, gpu, REST_ON_GPU, 8, INSIDE_A_MACHINE))
    for steps in (80, 512, 4096):
        used = min(512, steps)  # each process has at least one meta step
        print(row("64 machines with 8 GPUs each", steps, gpu, REST_ON_GPU, used, BETWEEN_MACHINES))


if __name__ == "__main__":
    main()
