"""The files of a saved model: JSON that describes it, and safetensors; reading them executes nothing.

The description names the weights by what is in them, and replacing it is the one step that makes a model the
new one. So a process that is killed while it saves over a model leaves the old one or the new one, never a
mixture.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metabalance.files import write_atomically
from metabalance.seals import seal_json, unseal_json

FORMAT = "metabalance-model"
FORMAT_VERSION = 9
DESCRIPTION_FILE = "model.json"
WEIGHTS_NAME = re.compile(r"weights-[0-9a-f]{16}\.safetensors")
UNFINISHED_NAME = re.compile(rf"\.(model\.json|{WEIGHTS_NAME.pattern})\..*\.tmp")  # of killed processes


def write_model_files(folder: Path, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a model to a folder, which is made if need be, in the place of the one that may be there.

    Raises
    ------
    ValueError
        If the path is a file, or nothing can be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file: a model is saved as a folder, choose another path")
    # Copies, since safetensors refuses tensors that share memory, as tied weights do.
    weights = save(
        {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    )
    digest = hashlib.sha256(weights).hexdigest()
    name = f"weights-{digest[:16]}.safetensors"
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "library_version": metadata.version("metabalance"),
        "weights": {"file": name, "sha256": digest},
        **description,
    }
    text = json.dumps(seal_json(content), indent=1, ensure_ascii=False)
    write_atomically(folder / name, weights)
    write_atomically(folder / DESCRIPTION_FILE, text.encode())
    for file in folder.iterdir():
        if (WEIGHTS_NAME.fullmatch(file.name) and file.name != name) or UNFINISHED_NAME.fullmatch(file.name):
            file.unlink()


def read_description(folder: Path) -> dict[str, Any]:
    """Return the description of a model.

    Raises
    ------
    FileNotFoundError
        If there is no model.
    ValueError
        If it is damaged, of another format or of another version.
    """
    file = folder / DESCRIPTION_FILE
    if not file.is_file():
        raise FileNotFoundError(f"there is no saved model in {str(folder)!r}: {DESCRIPTION_FILE} is missing")
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{str(file)!r} is damaged: not valid JSON ({error})") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(f"{str(file)!r} does not describe a metabalance model")
    if description.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"the model in {str(folder)!r} has format version {description.get('format_version')!r}, this "
            f"metabalance reads version {FORMAT_VERSION}: use the version of metabalance that saved it, "
            f"{description.get('library_version')!r}"
        )
    try:
        return unseal_json(description)
    except ValueError as error:
        raise ValueError(f"{str(file)!r} is damaged: {error}; save the model again") from error


def read_weights(folder: Path, description: Mapping[str, Any], device: torch.device) -> dict[str, Tensor]:
    """Return the tensors that belong to a description.

    Raises
    ------
    ValueError
        If they are missing or damaged.
    """
    about = description.get("weights")
    name, digest = (about.get("file"), about.get("sha256")) if isinstance(about, dict) else (None, None)
    if not isinstance(name, str) or not WEIGHTS_NAME.fullmatch(name):
        raise ValueError(f"{str(folder / DESCRIPTION_FILE)!r} is damaged: it names no file of weights")
    file = folder / name
    try:
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{str(file)!r} is damaged: it is not what was saved; save the model again")
        tensors: dict[str, Tensor] = load(content)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{str(file)!r} is missing or damaged ({error}): save the model again") from error
    return {name: tensor.to(device) for name, tensor in tensors.items()}
