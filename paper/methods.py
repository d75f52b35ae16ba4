"""From the names of rows to the runs behind them: recipes, and families of runs to choose from."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from metabalance.search import PAPER_STRATEGIES

CONFIGS = Path(__file__).parent / "configs"
SETTINGS = ((1e-3, 0.0), (3e-3, 0.0), (1e-2, 0.0), (1e-3, 1e-3), (3e-3, 1e-3), (1e-2, 1e-3), (3e-3, 1e-2))
"""lr and weight decay of the tuned plain network: with seven samplers as many settings as the grid has."""

OPTIMIZER = ("optimizer", "lr", "weight_decay")
ABOUT = ("kind", "title", "optimizer_of")
"""What a row says of itself that is no part of its recipe."""

TASKS = ("fraud", "loan")
TABLES = {
    "table1": (
        "naive",
        "over",
        "under",
        "smote",
        "svmsmote",
        "enn",
        "cluster_centroids",
        "under-large-batch",
        "under-sgd",
        "metabalance",
        "metabalance-adapted",
        "first-order",
        "no-adaptation",
        "inner-lr-0.1",
        "inner-lr-0.5",
        "inner-lr-1",
        "inner-lr-chosen",
        "inner-lr-0.5-adapted",
        "inner-lr-0.5-first",
        "ms-metabalance",
        "ms-metabalance-adapted",
        "ms-first-order",
        "ms-no-adaptation",
        "focal",
        "class-balanced",
        "logit-adjusted",
        "meta-weight-net",
        "tuned-plain",
        "logistic-regression",
        "lightgbm",
    ),
    "table7": ("borderline_smote", "adasyn", "nearmiss", "allknn", "smoteenn"),
}


@dataclass(frozen=True)
class Method:
    """What is run: a kind (plain, meta, meta-weight-net or rival), the resolved recipe and the network."""

    name: str
    kind: str
    recipe: Mapping[str, Any]
    network: Mapping[str, Any]


@cache
def load_config(path: Path) -> dict[str, Any]:
    """Read a TOML file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def rows() -> dict[str, dict[str, Any]]:
    """All rows by name, from configs/rows.

    What a row does not say is the task's recipe (configs/tasks). Its ``kind`` is plain, meta, meta-weight-net
    or rival, or "chosen" where it is read from the runs of others (see paper/chosen.py): those ``of`` a
    method, or the best ``among`` a family of methods or a list of them.
    """
    files = sorted(CONFIGS.glob("rows/*.toml"))
    return {name: row for path in files for name, row in load_config(path).items()}


def families() -> dict[str, tuple[str, dict[str, dict[str, Any]]]]:
    """Families of runs among which a row is chosen: name → (kind, member → its own part of the recipe)."""
    pairs = {f"{s}-{q}": {"support": s, "query": q} for s, q in product(PAPER_STRATEGIES, PAPER_STRATEGIES)}
    return {
        "grid": ("meta", pairs),
        "grid-first-order": ("meta", {name: {**pair, "order": "first"} for name, pair in pairs.items()}),
        # Without an inner step the support batch counts by β alone: its strategy stays natural.
        "grid-no-adaptation": (
            "meta",
            {query: {"support": "natural", "query": query, "inner_lr": 0.0} for query in PAPER_STRATEGIES},
        ),
        "tuning": (
            "plain",
            {
                f"{sampler}-{lr:g}-{decay:g}": {
                    "sampler": sampler,
                    "lr": lr,
                    "weight_decay": decay,
                    "batch_size": 240,
                }
                for sampler, (lr, decay) in product(PAPER_STRATEGIES, SETTINGS)
            },
        ),
    }


def methods_for(row: str) -> list[str]:
    """The names of the methods that a row is read from."""
    about = rows()[row]
    if isinstance(about.get("among"), list):
        return list(about["among"])
    if "among" in about:
        return [f"{about['among']}/{member}" for member in families()[about["among"]][1]]
    return [about.get("of", row)]


def resolve(method: str, task: str, protocol: str) -> Method:
    """Return a method with its whole recipe: the task's, then the protocol's, then its own."""
    config = load_config(CONFIGS / "tasks" / f"{task}.toml")
    family, slash, member = method.partition("/")
    if slash:
        kind, members = families()[family]
        own = members[member]
    else:
        own = rows()[method]
        kind = own["kind"]

    def recipe_of(base: str) -> dict[str, Any]:
        found: dict[str, Any] = config.get(base, {}) | config.get("protocol", {}).get(protocol, {}).get(
            base, {}
        )
        return found

    recipe = recipe_of("plain" if kind == "meta-weight-net" else kind)
    if "optimizer_of" in own:
        recipe |= {name: recipe_of(own["optimizer_of"])[name] for name in OPTIMIZER}
    recipe |= {name: value for name, value in own.items() if name not in ABOUT}
    return Method(method, kind, recipe, config["network"])
