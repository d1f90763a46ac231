"""Tables of a dataset: one module each, found by name.

Every module holds a `TABLE` of `base`: columns, options, rows of a network, and a check that derives them another way.
About complexes: ``complexes``, ``cells``, ``facets``, ``topology``, ``blocks``; about functions: ``networks``,
``fibers``, ``pairs``; about linear networks: ``strata``, ``critical``, ``trajectories``, ``geodesics``.
"""

from __future__ import annotations

import importlib

from ...errors import InputError
from .base import Item, Table

NAMES = (
    "networks", "complexes", "cells", "facets", "topology", "fibers", "pairs", "strata", "critical", "trajectories", "geodesics",
    "blocks",
)  # fmt: skip
"""Of the tables that can be asked for, in the order in which they are written."""


def table(name: str) -> Table:
    """The table of a name.

    Examples
    --------
    >>> from polyfiber.datasets.tables import table
    >>> table("networks").columns[0].name
    'network'
    """
    if name not in NAMES:
        raise InputError(f"no table is called {name!r}; expected one of {', '.join(NAMES)}")
    found: Table = importlib.import_module(f".{name}", __name__).TABLE
    return found


__all__ = ["NAMES", "Item", "Table", "table"]
