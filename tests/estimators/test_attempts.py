import warnings

import pytest
import torch

from metabalance.estimators.attempts import attempt


def fail(error: Exception):
    raise error


def warn_twice() -> int:
    warnings.warn("few\n  rows", UserWarning, stacklevel=1)
    warnings.warn("few rows", UserWarning, stacklevel=1)
    warnings.warn("an unclosed file", ResourceWarning, stacklevel=1)
    return 3


def test_values_and_warnings_come_back() -> None:
    tried = attempt(warn_twice)
    assert (tried.value, tried.failure, tried.warnings) == (3, None, ("few rows",))


@pytest.mark.parametrize("kind", [ValueError, TypeError, FloatingPointError])
def test_failures_are_one_line(kind) -> None:
    assert attempt(lambda: fail(kind("no\n rows"))).failure == "no rows"
    assert attempt(lambda: fail(kind())).failure == kind.__name__


def test_bugs_and_ctrl_c_are_raised() -> None:
    for error in (ZeroDivisionError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            attempt(lambda error=error: fail(error))


def test_work_is_done_on_one_thread() -> None:
    torch.set_num_threads(2)
    assert attempt(torch.get_num_threads).value == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
