"""The command's first lines: what happens before and while the library is imported."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import metabalance_command
from metabalance import __version__

ROOT = Path(__file__).parents[1]


class CtrlC:
    """An importer during which the user breaks off."""

    def find_spec(self, name, path=None, target=None):
        if name == "metabalance.cli":
            raise KeyboardInterrupt


def test_ctrl_c_during_the_imports_is_one_line(monkeypatch, capsys) -> None:
    monkeypatch.delitem(sys.modules, "metabalance.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [CtrlC(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        metabalance_command.main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_it_runs_the_command(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["metabalance", "--version"])
    with pytest.raises(SystemExit) as ended:
        metabalance_command.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"metabalance {__version__}\n"


def test_the_library_is_imported_where_ctrl_c_is_caught() -> None:
    loaded = "import metabalance_command, sys; print({'metabalance', 'torch'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, timeout=120)
    assert result.stdout == "set()\n"
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["scripts"] == {"metabalance": "metabalance_command:main"}
    assert settings["tool"]["setuptools"]["py-modules"] == ["metabalance_command"]
