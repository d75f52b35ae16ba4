"""Unpickling that makes nothing but containers, numbers, texts and NumPy arrays.

CIFAR-10 is published as pickles of plain arrays. Its files are read only where their checksum is the authors'
(`metabalance.datasets.cifar`); here, besides, nothing that a pickle names is called but what arrays need.
"""

import io
import pickle
from typing import Any

# What protocol 2 files of NumPy arrays refer to, by today's and by earlier names.
ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module_name}.{global_name}")
        if module_name == "numpy.core.multiarray":  # moved in NumPy 2
            module_name = "numpy._core.multiarray"
        return super().find_class(module_name, global_name)


def read_plain_pickle(content: bytes, source: str) -> Any:
    """Unpickle containers, numbers, texts and arrays, of which those of Python 2 come as bytes.

    Parameters
    ----------
    content : bytes
    source : str
        What messages call it.

    Raises
    ------
    ValueError
        If the content is damaged, or refers to anything else, which is not run.

    Examples
    --------
    >>> import pickle
    >>> from metabalance.datasets.plain_pickle import read_plain_pickle
    >>> read_plain_pickle(pickle.dumps({"labels": [1, 2]}), "example")
    {'labels': [1, 2]}
    >>> read_plain_pickle(pickle.dumps(print), "example")
    Traceback (most recent call last):
    ...
    ValueError: example is not a pickle of plain data: it refers to builtins.print
    """
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    # What a damaged pickle may raise, by the documentation of the module.
    except (
        pickle.UnpicklingError,
        AttributeError,
        EOFError,
        ImportError,
        IndexError,
        ValueError,
        TypeError,
        KeyError,
    ) as error:
        raise ValueError(f"{source} is not a pickle of plain data: {error}") from error
