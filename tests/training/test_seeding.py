import threading
import time

import torch

from metabalance.training import seeded


def test_draws_depend_on_the_seed_and_the_callers_state_is_untouched() -> None:
    before = torch.random.get_rng_state()
    draws = []
    for seed in (1, 1, 2):
        with seeded(seed):
            draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_state_is_restored_after_an_exception() -> None:
    before = torch.random.get_rng_state()
    try:
        with seeded(1):
            torch.rand(4)
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.random.get_rng_state(), before)


def test_threads_wait_for_each_other() -> None:
    with seeded(1):
        expected = [torch.rand(1).item() for _ in range(20)]
    found = []

    def draw() -> None:
        with seeded(1):
            drawn = []
            for _ in range(20):
                drawn.append(torch.rand(1).item())
                time.sleep(0.001)  # lets another thread in
        found.append(drawn)

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3
