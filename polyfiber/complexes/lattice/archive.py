"""The part of an archive that a face lattice adds to the vertices of a complex."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError
from .build import LatticeSkeleton
from .check import check_faces, facet_pairs

COLUMNS = ("planes", "length", "infinite")


def put_lattice(store: dict[str, Array], lattice: LatticeSkeleton) -> None:
    """Add the faces of a lattice to the arrays of an archive."""
    store["zeros"] = lattice.zeros[: lattice.nv]  # marks of the build, which earlier releases ask for
    for k, table in enumerate(lattice.tables):
        for name in COLUMNS:
            store[f"faces_{k}_{name}"] = getattr(table, name)[: table.count]
        store[f"faces_{k}_facets"] = facet_pairs(table, np.arange(table.count))[1].astype(np.int32)


def get_lattice(store: Any, lattice: LatticeSkeleton) -> None:
    """Fill a lattice, whose vertices are there already; its structure is checked.

    Raises
    ------
    FileFormatError
        Arrays that do not fit, or faces that do not hang together.
    """
    nv, W = lattice.nv, lattice.frame.n_words
    lattice.zeros = np.zeros((nv, W), dtype=np.uint64)
    below = nv
    for k, table in enumerate(lattice.tables):
        columns = [np.asarray(store[f"faces_{k}_{name}"]) for name in COLUMNS]
        m = len(columns[0])
        shapes = [(m, 2 * W), (m,), (m,)]
        kinds = [getattr(table, name).dtype for name in COLUMNS]
        if [c.shape for c in columns] != shapes or [c.dtype for c in columns] != kinds or (k == 0 and m != nv):
            raise FileFormatError(f"damaged: the columns of {k}-faces do not fit together")
        table.reserve(m)
        table.count = m
        for name, column in zip(COLUMNS, columns):
            getattr(table, name)[:m] = column
        pool = np.asarray(store[f"faces_{k}_facets"])
        if (
            pool.dtype != np.int32
            or pool.ndim != 1
            or (table.length[:m] < 0).any()
            or int(table.length[:m].sum()) != len(pool)
        ):
            raise FileFormatError(f"damaged: the facets of {k}-faces are not as many as announced")
        if len(pool) and not (pool.min() >= 0 and pool.max() < below):
            raise FileFormatError(f"damaged: a {k}-face has a facet that does not exist")
        table.pool, table.fill = pool.copy(), len(pool)
        table.start[:m] = np.cumsum(table.length[:m]) - table.length[:m]
        below = m
    problems: list[str] = []
    if (lattice.tables[0].infinite[:nv] != (lattice.state.at_inf[:nv] >= 0)).any():
        problems.append("vertices at infinity are inconsistent")
    check_faces(lattice, problems)
    if problems:
        raise FileFormatError(f"damaged: {problems[0]}")
