"""No file that the library reads can make it run code: a look at every call in its source."""

import ast
from pathlib import Path

import pytest

import metabalance

SOURCE = Path(metabalance.__file__).parent
# CIFAR-10 is published as pickles: read where the checksum is right, by an unpickler that knows arrays only.
RESTRICTED = {"datasets/plain_pickle.py"}
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "runpy", "yaml"}
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec"),
    *("importlib.import_module", "joblib.load", "pandas.read_pickle", "pd.read_pickle"),
    *("numpy.load", "np.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"),
    *("os.system", "os.popen", "subprocess.run", "subprocess.Popen", "subprocess.call"),
}
FILES = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))


def found_in(source: str) -> list[str]:
    """Calls that could run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in MODULES:
            found.append(f"from {node.module} import …, line {node.lineno}")
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        of_pickle = name.split(".")[0] in MODULES and not name.endswith(("Error", ".dumps"))
        if name in FORBIDDEN or of_pickle:
            found.append(f"{name}, line {node.lineno}")
        if name == "torch.load" and not any(
            each.arg == "weights_only" and isinstance(each.value, ast.Constant) and each.value.value is True
            for each in node.keywords
        ):
            found.append(f"torch.load without weights_only=True, line {node.lineno}")
        if any(each.arg == "allow_pickle" and ast.unparse(each.value) != "False" for each in node.keywords):
            found.append(f"allow_pickle, line {node.lineno}")
    return found


@pytest.mark.parametrize("file", [file for file in FILES if file not in RESTRICTED])
def test_nothing_runs_what_a_file_says(file: str) -> None:
    assert found_in((SOURCE / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(file)",
        "from pickle import loads",
        "pickle.Unpickler(file)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "torch.load(file, weights_only=wanted)",
        "np.load(file)",
        "NpzFile(file, allow_pickle=True)",
        "eval(text)",
        "joblib.load(file)",
        "importlib.import_module(name)",
    ],
)
def test_the_look_finds_them(source: str) -> None:
    assert found_in(source)
