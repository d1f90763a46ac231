"""The choices of options, each a class: the parser refuses anything else, help and completion list them."""

from __future__ import annotations

from enum import StrEnum


class Order(StrEnum):
    """Which region an exploration visits next."""

    BREADTH = "breadth"
    NEAREST = "nearest"


class Method(StrEnum):
    """How the range of a neuron is bounded, from the cheapest to the dearest."""

    INTERVAL = "interval"
    RELAXATION = "relaxation"
    LP = "lp"
    EXACT = "exact"


class CellFormat(StrEnum):
    """Files that streamed cells are written to."""

    PARQUET = "parquet"
    ZARR = "zarr"
    NPZ = "npz"


class Side(StrEnum):
    """Which side of a level: where the output equals it, is at most it, is at least it."""

    LEVEL = "level"
    BELOW = "below"
    ABOVE = "above"


class Cap(StrEnum):
    """Which side of a level set the sides of the domain close: where the output is at most the value, or at least it."""

    BELOW = "below"
    ABOVE = "above"


class Support(StrEnum):
    """Which cells count in homology."""

    BOUNDED = "bounded"
    COMPACTIFIED = "compactified"
    BOREL_MOORE = "borel-moore"


class Field(StrEnum):
    """Coefficients of homology: two elements, or the rationals."""

    TWO = "2"
    RATIONALS = "0"
