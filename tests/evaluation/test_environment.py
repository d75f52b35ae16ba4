import platform

import torch

from metabalance.evaluation import environment


def test_versions_and_hardware_are_told() -> None:
    described = environment.describe_environment()
    assert described["python"] == platform.python_version()
    assert described["torch"] == torch.__version__
    assert int(described["cores"]) >= 1
    assert described["processor"]
    assert ("accelerator" in described) == torch.cuda.is_available()


def test_a_package_that_is_not_there_is_said_so(monkeypatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package-here",))
    assert environment.describe_environment()["no-such-package-here"] == "not installed"
