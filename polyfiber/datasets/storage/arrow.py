"""The one door to pyarrow: types from their names, list columns from flat arrays."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._typing import Array
from ...complexes.parquet_files import open_parquet, told
from ...errors import InputError, MissingDependencyError

_PLAIN = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "string",
)


def pyarrow(purpose: str = "writing and reading tables") -> Any:
    """The package, or one clear error naming the extra."""
    try:
        import pyarrow
    except ImportError:
        raise MissingDependencyError("pyarrow", extra="data", purpose=purpose) from None
    return pyarrow


def parquet(purpose: str = "writing and reading tables") -> Any:
    """``pyarrow.parquet``."""
    pyarrow(purpose)
    return importlib.import_module("pyarrow.parquet")


def compute() -> Any:
    """``pyarrow.compute``, which pyarrow alone does not import."""
    pyarrow()
    return importlib.import_module("pyarrow.compute")


def check_type(name: str) -> str:
    """The name itself if `arrow_type` knows it."""
    inner = name
    while inner.startswith("list<") and inner.endswith(">"):
        inner = inner[5:-1]
    if inner not in _PLAIN:
        raise InputError(f"{name!r} is no column type; expected one of {', '.join(_PLAIN)} or list<…> of one")
    return name


def arrow_type(name: str) -> Any:
    """Arrow type of a name such as ``float64``, ``list<int8>`` or ``list<list<float64>>``."""
    pa = pyarrow()
    check_type(name)
    if name.startswith("list<"):
        return pa.list_(pa.field("item", arrow_type(name[5:-1]), nullable=False))
    return {"bool": pa.bool_, "string": pa.string}[name]() if name in ("bool", "string") else getattr(pa, name)()


def lists(values: Any, offsets: Any, *, type: str, missing: Any = None) -> Any:
    """List column from flat values and row offsets, without a Python object per entry.

    Parameters
    ----------
    values : (m,) array or Arrow array
        The entries of all rows, one after another; an Arrow list array for lists of lists.
    offsets : (rows + 1,) integers
    type : str
        Type of the column, such as ``list<float64>``.
    missing : (rows,) bool, optional
        Rows that are null.
    """
    pa = pyarrow()
    target = arrow_type(type)
    if isinstance(values, np.ndarray):
        values = pa.array(np.ascontiguousarray(values).ravel()).cast(target.value_type)
    limits = pa.array(np.ascontiguousarray(offsets, dtype=np.int32))
    mask = None if missing is None else pa.array(np.asarray(missing, dtype=bool))
    return pa.ListArray.from_arrays(limits, values, type=target, mask=mask)


def ragged(arrays: Sequence[Array], *, type: str) -> Any:
    """List column from one array per row."""
    offsets = np.concatenate([[0], np.cumsum([len(a) for a in arrays])])
    return lists(np.concatenate(arrays) if len(arrays) else np.zeros(0), offsets, type=type)


def rows_as_lists(values: Array, *, type: str) -> Any:
    """List column from an array (rows, k, …): each row one list, deeper axes deeper lists."""
    depth = type.count("list<")
    flat = np.asarray(values)
    if flat.ndim != depth + 1:
        raise InputError(f"an array of {flat.ndim} axes cannot be a column of {type}; expected {depth + 1} axes")
    column: Any = flat.reshape(-1)
    inner = type[5 * depth : len(type) - depth]
    for level in range(depth):
        count = int(np.prod(flat.shape[: depth - level], dtype=np.int64))
        step = flat.shape[depth - level]
        inner = f"list<{inner}>"
        column = lists(column, np.arange(count + 1, dtype=np.int64) * step, type=inner)
    return column


def column_of(values: Any, type: str) -> Any:
    """Arrow column of the given type from an array, an Arrow array, or a sequence of Python values."""
    pa = pyarrow()
    target = arrow_type(type)
    if isinstance(values, pa.Array):
        return values if values.type.equals(target) else values.cast(target)
    if isinstance(values, np.ndarray) and values.dtype != object:
        if type.startswith("list<"):
            return rows_as_lists(values, type=type)
        return pa.array(values).cast(target)
    if isinstance(values, Sequence):
        plain = [v.tolist() if isinstance(v, np.ndarray) else v for v in values]
        return pa.array(plain, type=target)
    raise InputError(f"cannot make a column of {type} from a {values.__class__.__name__}")


__all__ = [
    "arrow_type", "check_type", "column_of", "lists", "open_parquet", "parquet", "pyarrow", "ragged", "rows_as_lists", "told",
]  # fmt: skip
