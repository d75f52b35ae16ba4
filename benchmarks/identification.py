"""How long it takes to identify and to verify faces by their embeddings.

    python -m benchmarks.identification

10,000 embeddings of 512 dimensions, 1,000 people with ten images each; the target for rank 1 is 2 seconds on
two cores.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.markdown import as_table
from benchmarks.timing import measure, timing_frame, write_results
from metabalance.evaluation import identification_rates, verification_rates

PEOPLE, IMAGES, DIMENSIONS = 1_000, 10_000, 512
SPREAD = 0.35  # of the people: about half of the images find one of their own first


def products(directions: torch.Tensor) -> None:
    """Compute all cosine similarities in blocks, and nothing from them."""
    for block in directions.split(1024):
        block @ directions.T


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    identity = torch.arange(IMAGES) % PEOPLE
    people = SPREAD * torch.randn(PEOPLE, DIMENSIONS, generator=generator)
    embeddings = people[identity] + torch.randn(IMAGES, DIMENSIONS, generator=generator)
    directions = torch.nn.functional.normalize(embeddings)
    timings = measure(
        {
            "all products alone": lambda: products(directions),
            "identification": lambda: identification_rates(embeddings, identity),
            "verification": lambda: verification_rates(embeddings, identity),
        },
        repeats=arguments.repeats,
        warmup=1,
        threads=arguments.threads,
    )
    print(as_table(timing_frame(timings, baseline="all products alone"), digits=2))
    if arguments.out:
        command = f"python -m benchmarks.identification --repeats {arguments.repeats}"
        results = {name: timing.summary() for name, timing in timings.items()}
        write_results(arguments.out, command, {"threads": arguments.threads, "timings": results})


if __name__ == "__main__":
    main()
