"""Columns with names and units, and their way to pandas, Arrow and xarray.

What a complex, a batch of labels or a collection knows as arrays, one row a thing: `Columns` says what each column
means and hands the arrays over. An array of several numbers a row becomes several columns in pandas (``A[0,1]``), lists
of fixed size in Arrow, and keeps its shape in xarray.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from . import words
from ._typing import Array
from .errors import InputError, MissingDependencyError, ShapeError


class Columns(Mapping[str, Array]):
    """Arrays of one length, by name.

    Parameters
    ----------
    row : str
        What a row is: ``"region"``.
    columns : mapping of str to array
        Each with one entry a row along its first axis.
    meaning : mapping of str to str, optional
        What the columns say, with units.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.columns import Columns
    >>> table = Columns("region", {"facets": np.array([3, 4]), "A": np.zeros((2, 1, 2))}, {"facets": "number of facets"})
    >>> table
    Columns(2 rows, one a region: facets, A)
    >>> table["facets"].tolist()
    [3, 4]
    """

    def __init__(self, row: str, columns: Mapping[str, Any], meaning: Mapping[str, str] | None = None) -> None:
        self.row = row
        self._columns = {name: np.asarray(values) for name, values in columns.items()}
        self.meaning = dict(meaning or {})
        lengths = {len(values) for values in self._columns.values()}
        if len(lengths) > 1:
            raise ShapeError(f"columns of different lengths: { {n: len(v) for n, v in self._columns.items()} }")
        self.n_rows = lengths.pop() if lengths else 0

    def __getitem__(self, name: str) -> Array:
        if name not in self._columns:
            raise KeyError(f"there is no column {name!r}; the columns are {', '.join(self._columns)}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        names = ", ".join(self._columns)
        return f"Columns({words.count(self.n_rows, 'row')}, one a {self.row}: {names if len(names) <= 120 else names[:119] + '…'})"

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``; arrays of several numbers a row become several columns (extra ``frames``)."""
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError("pandas", extra="frames", purpose="data frames") from None
        flat: dict[str, Any] = {}
        for name, values in self._columns.items():
            if values.ndim == 1:
                flat[name] = values
                continue
            for index in np.ndindex(*values.shape[1:]):
                flat[f"{name}[{','.join(map(str, index))}]"] = values[(slice(None), *index)]
        frame = pandas.DataFrame(flat)
        frame.index.name = self.row
        return frame

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``; arrays of several numbers a row become lists of fixed size (extra ``data``)."""
        try:
            import pyarrow
        except ImportError:
            raise MissingDependencyError("pyarrow", extra="data", purpose="Arrow tables") from None
        arrays, fields = [], []
        for name, values in self._columns.items():
            flat = np.ascontiguousarray(values).reshape(-1)
            array = pyarrow.array(flat.tolist() if flat.dtype.kind in "OU" else flat)
            for size in reversed(values.shape[1:]):
                if size == 0:
                    raise InputError(f"the column {name!r} has no numbers in a row; Arrow has no lists of size 0")
                array = pyarrow.FixedSizeListArray.from_arrays(array, size)
            arrays.append(array)
            told = {"meaning": self.meaning[name]} if name in self.meaning else None
            fields.append(pyarrow.field(name, array.type, metadata=told))
        return pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields))

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` over the dimension of the rows (extra ``frames``); the other axes are ``A_0``, ``A_1``,
        …
        """
        try:
            import xarray
        except ImportError:
            raise MissingDependencyError("xarray", extra="frames", purpose="labelled arrays") from None
        variables = {
            name: (
                (self.row, *(f"{name}_{k}" for k in range(values.ndim - 1))),
                values,
                {"meaning": self.meaning[name]} if name in self.meaning else {},
            )
            for name, values in self._columns.items()
        }
        return xarray.Dataset(variables)
