"""The beginning of an ONNX graph: from the columns that a program has to what the encoder is given."""

from dataclasses import dataclass

import numpy as np
import torch
from onnx import NodeProto, TensorProto, ValueInfoProto, helper
from torch import Tensor, nn

from metabalance.encoding.arrays import ArrayEncoder
from metabalance.encoding.categories import CategoryColumn, CodedColumn
from metabalance.encoding.tables import TableEncoder
from metabalance.export.encoding import EncodeArray, EncodeTable, places_of

ROWS = "rows"  # the name of the number of rows
MATRIX = "X"
NUMBERS, PLACES = "numbers", "places"
EXAMPLE_ROWS = 3  # torch takes 0 and 1 for fixed numbers
ML_DOMAIN = "ai.onnx.ml"
OUTPUTS = LABEL, PROBABILITIES = "label", "probabilities"


@dataclass(frozen=True)
class Front:
    """What is before the exported network.

    Parameters
    ----------
    encode : torch.nn.Module
        The beginning of that network.
    given : dict of str to Tensor
        Examples of what it is given, by their names in the graph.
    inputs : list of ValueInfoProto
        What a program gives.
    nodes : list of NodeProto
        Make the one of the other.
    """

    encode: nn.Module
    given: dict[str, Tensor]
    inputs: list[ValueInfoProto]
    nodes: list[NodeProto]


def front_of(encoder: TableEncoder | ArrayEncoder, prefix: str) -> Front:
    """Return the beginning that suits an encoder; names that users do not give start with the prefix.

    Raises
    ------
    ValueError
        If no column has an output.
    """
    if isinstance(encoder, ArrayEncoder):
        return _front_of_arrays(encoder, prefix)
    if not any(column.outputs for column in encoder.columns_):
        raise ValueError("the model uses no column of the table, since none holds anything to learn from")
    encode = EncodeTable(encoder)
    given = {}
    if encode.number_columns:
        given[prefix + NUMBERS] = torch.zeros(EXAMPLE_ROWS, len(encode.number_columns), dtype=torch.float64)
    if encode.category_columns:
        given[prefix + PLACES] = torch.zeros(EXAMPLE_ROWS, len(encode.category_columns), dtype=torch.int64)
    if encoder.feature_names_in_ is None and not encode.category_columns:
        inputs, nodes = _matrix(encoder.n_features_in_, encode.number_columns, prefix)
    else:
        inputs, nodes = _columns(encoder, encode, prefix)
    return Front(encode, given, inputs, nodes)


def _front_of_arrays(encoder: ArrayEncoder, prefix: str) -> Front:
    dtype = np.dtype(encoder.dtype_in_).newbyteorder("=")
    kind = helper.np_dtype_to_tensor_dtype(dtype if dtype.itemsize <= 8 else np.dtype(np.float64))
    shape = encoder.shape_in_
    name = prefix + MATRIX
    example = torch.from_numpy(np.zeros((EXAMPLE_ROWS, *shape)))
    inputs = [helper.make_tensor_value_info(MATRIX, kind, [ROWS, *shape])]
    nodes = [helper.make_node("Cast", [MATRIX], [name], to=TensorProto.DOUBLE)]
    return Front(EncodeArray(encoder), {name: example}, inputs, nodes)


def _matrix(n_features: int, used: list[int], prefix: str) -> tuple[list[ValueInfoProto], list[NodeProto]]:
    """All columns as one matrix of numbers."""
    indices = helper.make_tensor("used", TensorProto.INT64, [len(used)], used)
    return [helper.make_tensor_value_info(MATRIX, TensorProto.DOUBLE, [ROWS, n_features])], [
        helper.make_node("Constant", [], [prefix + "used"], value=indices),
        helper.make_node("Gather", [MATRIX, prefix + "used"], [prefix + NUMBERS], axis=1),
    ]


def _columns(
    encoder: TableEncoder, encode: EncodeTable, prefix: str
) -> tuple[list[ValueInfoProto], list[NodeProto]]:
    """Every column that is used as an input of its own, of shape (rows, 1)."""
    names = encoder.feature_names_in_ or [f"column_{index}" for index in range(encoder.n_features_in_)]
    used = {names[index] for index in (*encode.number_columns, *encode.category_columns)}
    taken = sorted(used & {"", *OUTPUTS})
    if taken:
        raise ValueError(
            f"a column is named {taken[0]!r}, which an input of an ONNX file with the outputs "
            f"{' and '.join(OUTPUTS)} cannot be: fit with another name for it"
        )
    inputs, nodes, places = [], [], []
    for index, (name, column) in enumerate(zip(names, encoder.columns_, strict=True)):
        if index in encode.number_columns:
            inputs.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, [ROWS, 1]))
        elif isinstance(column, CategoryColumn | CodedColumn) and index in encode.category_columns:
            inputs.append(helper.make_tensor_value_info(name, TensorProto.STRING, [ROWS, 1]))
            known, other = places_of(column)
            if column.missing and "" in column.categories:
                raise ValueError(
                    f'column {name!r} holds missing values and empty texts, which are both "" to an ONNX '
                    "file: give one of them another name before the fit"
                )
            places.append(f"{prefix}place_{index}")
            nodes.append(
                helper.make_node(
                    "LabelEncoder",
                    [name],
                    [places[-1]],
                    domain=ML_DOMAIN,
                    keys_strings=list(known),
                    values_int64s=list(known.values()),
                    default_int64=other,
                )
            )
    numbers = [names[index] for index in encode.number_columns]
    for title, parts in ((NUMBERS, numbers), (PLACES, places)):
        if parts:
            nodes.append(helper.make_node("Concat", parts, [prefix + title], axis=1))
    return inputs, nodes
