"""A fitted classifier as an ONNX file: one graph from columns as they are given to labels."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript  # noqa: F401  # torch.onnx.export needs it, and would say so late
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper
from torch import Tensor, nn

from metabalance.encoding.arrays import ArrayEncoder
from metabalance.encoding.tables import TableEncoder
from metabalance.estimators.outputs import Output
from metabalance.export.classifying import Classify
from metabalance.export.front import EXAMPLE_ROWS, LABEL, ML_DOMAIN, PROBABILITIES, ROWS, Front, front_of
from metabalance.files import write_atomically

OPSET, ML_OPSET = 18, 3
_CODE = "code"
_CANNOT = (
    "the network cannot be exported to ONNX: torch.export must be able to follow its forward for any number "
    "of rows, but "
)
_MOST_BYTES = 2**31 - 2**20  # that such a file can hold, and something besides the weights


def write_onnx(
    path: str | os.PathLike[str],
    *,
    encoder: TableEncoder | ArrayEncoder,
    network: nn.Module,
    parameters: Mapping[str, Tensor] | None,
    output: Output | None,
    classes: NDArray[Any],
) -> Path:
    """Write what a fitted classifier consists of; see `metabalance.NeuralClassifier.export_onnx`."""
    if sum(tensor.nbytes for tensor in network.state_dict().values()) > _MOST_BYTES:
        raise ValueError("the network is larger than 2 GB, which an ONNX file cannot hold: use save")
    prefix = _unlike(encoder.feature_names_in_ or [])
    front = front_of(encoder, prefix)
    body = _exported(Classify(front.encode, network, parameters, output), front.given, prefix)
    model = _joined(front, body, classes, prefix)
    onnx.checker.check_model(model, full_check=True)
    return write_atomically(path, model.SerializeToString())


def _exported(module: nn.Module, given: Mapping[str, Tensor], prefix: str) -> ModelProto:
    """The module as torch exports it, with inputs named as they are given, and all other names prefixed."""
    plain = [name.removeprefix(prefix) for name in given]
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                tuple(given.values()),
                dynamo=True,
                dynamic_shapes=(tuple({0: torch.export.Dim(ROWS)} for _ in given),),
                input_names=plain,
                output_names=[PROBABILITIES, _CODE],
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        raise ValueError(f"{_CANNOT}{str(cause).strip().partition(chr(10))[0]}") from error
    if program is None:  # which torch's signature allows for other arguments than these
        raise RuntimeError("torch.onnx.export returned nothing")
    for value in program.model_proto.graph.output:
        # A forward that reads the number of rows as an integer, such as len(x), fixes it without a word.
        if value.type.tensor_type.shape.dim[0].dim_param != ROWS:
            raise ValueError(f"{_CANNOT}it was followed for {EXAMPLE_ROWS} rows only: does it use len(x)?")
    body: ModelProto = compose.add_prefix(program.model_proto, prefix)
    return body


def _joined(front: Front, body: ModelProto, classes: NDArray[Any], prefix: str) -> ModelProto:
    """One graph: the front, the body, and the labels of the classes at the end."""
    labels = numpy_helper.from_array(_plain_labels(classes), prefix + "classes")
    nodes = [
        *front.nodes,
        *body.graph.node,
        helper.make_node("Identity", [prefix + PROBABILITIES], [PROBABILITIES]),
        helper.make_node("Gather", [labels.name, prefix + _CODE], [LABEL]),
    ]
    graph = helper.make_graph(
        nodes,
        "metabalance",
        front.inputs,
        [
            helper.make_tensor_value_info(LABEL, labels.data_type, [ROWS]),
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.DOUBLE, [ROWS, len(classes)]),
        ],
        [*body.graph.initializer, labels],
    )
    return helper.make_model(
        graph,
        producer_name="metabalance",
        producer_version=metadata.version("metabalance"),
        ir_version=body.ir_version,
        opset_imports=[*body.opset_import, helper.make_opsetid(ML_DOMAIN, ML_OPSET)],
        functions=body.functions,
    )


def _plain_labels(classes: NDArray[Any]) -> NDArray[Any]:
    """Labels as an ONNX file can hold them: int64 (uint64 if need be), float64, booleans or texts."""
    if all(isinstance(label, str) for label in classes):
        return classes.astype(object)
    if classes.dtype.kind == "f":
        return classes.astype(np.float64)
    if classes.dtype.kind in "iu":
        return classes.astype(np.uint64 if classes.max() > np.iinfo(np.int64).max else np.int64)
    if classes.dtype.kind == "b":
        return classes
    raise ValueError(f"labels of type {type(classes[0]).__name__} have no place in an ONNX file")


def _unlike(names: list[str]) -> str:
    """A prefix for names that no column has."""
    prefix = "metabalance/"
    while any(name.startswith(prefix) for name in names):
        prefix = f"_{prefix}"
    return prefix


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter tells of itself: that torchvision is missing, and what it deprecates."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
