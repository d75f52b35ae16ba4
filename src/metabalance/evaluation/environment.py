"""Where a measurement was taken: versions and hardware."""

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = (
    "metabalance",
    "torch",
    "scikit-learn",
    "imbalanced-learn",
    "skorch",
    "numpy",
    "pandas",
    "lightgbm",
)


def describe_environment() -> dict[str, str]:
    """Return versions of Python and the packages that matter, processor, number of cores, and GPU."""
    described = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            described[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            described[package] = "not installed"
    described["platform"] = platform.platform()
    described["processor"] = _processor()
    described["cores"] = str(os.cpu_count())
    if torch.cuda.is_available():
        described["accelerator"] = torch.cuda.get_device_name()
    return described


def _processor() -> str:
    """Name of the processor; on Linux Python does not know it, but the kernel does."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
