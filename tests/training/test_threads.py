import threading

import pytest
import torch
from torch import nn

from metabalance.training import is_small, one_thread


def test_one_thread_inside_and_the_callers_number_afterwards() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_blocks_within_each_other_and_in_two_threads() -> None:
    before = torch.get_num_threads()
    entered, leave = threading.Event(), threading.Event()

    def block() -> None:
        with one_thread():
            entered.set()
            leave.wait(timeout=10)

    try:
        torch.set_num_threads(2)
        with one_thread():
            with one_thread():
                pass
            assert torch.get_num_threads() == 1
            other = threading.Thread(target=block)
            other.start()
            entered.wait(timeout=10)
        assert torch.get_num_threads() == 2
        with one_thread():  # begins while another block lasts
            leave.set()
            other.join(timeout=10)
        assert torch.get_num_threads() == 2
        new = []
        late = threading.Thread(target=lambda: new.append(torch.get_num_threads()))
        late.start()
        late.join(timeout=10)
        assert new == [2]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.Linear(10, 2), (5, 10), True),
        (nn.Linear(99_999, 2), (5, 10), True),
        (nn.Linear(100_000, 2), (5, 10), False),
        (nn.Linear(10, 2), (5, 1, 10, 10), False),
    ],
)
def test_small_is_a_table_and_few_parameters(module, shape, expected) -> None:
    assert is_small(module, torch.zeros(shape)) is expected
    assert not is_small(module, torch.zeros(shape, device="meta"))
