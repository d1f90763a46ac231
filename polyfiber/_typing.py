"""Array aliases and the small protocols that the floors share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
SignArray: TypeAlias = npt.NDArray[np.int8]
IdArray: TypeAlias = npt.NDArray[np.int32]
IntArray: TypeAlias = npt.NDArray[np.int64]
WordArray: TypeAlias = npt.NDArray[np.uint64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
Array: TypeAlias = npt.NDArray[Any]

RngLike: TypeAlias = Any
"""Whatever ``numpy.random.default_rng`` takes: None, an int, a SeedSequence, a Generator."""


class ProgressEvent(Protocol):
    """What a progress callback receives."""

    phase: str
    done: int
    total: int | None
    facts: dict[str, Any]


ProgressLike: TypeAlias = "None | bool | Callable[[ProgressEvent], None]"

# ---- words that arguments take; the functions refuse any other with `InputError` ------------------
OnDegenerate: TypeAlias = Literal["resolve", "refuse"]
"""What is done with networks whose walls are not in general position."""
StartMethod: TypeAlias = Literal["fork", "spawn"]
"""How worker processes start."""
BoundMethod: TypeAlias = Literal["interval", "relaxation", "lp", "exact"]
"""How the range of a neuron is bounded, from the cheapest to the dearest."""
ScalePer: TypeAlias = Literal["tensor", "channel"]
"""What shares one scale in a quantised copy: a matrix, or each of its rows."""
FloatName: TypeAlias = Literal["float32", "float64"]
"""Type of the numbers of a file."""
FlowMethod: TypeAlias = Literal["DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA", "gauss"]
"""Methods of ``scipy.integrate.solve_ivp``, and the two-stage Gauss-Legendre method."""
BoundaryRule: TypeAlias = Literal["reflect", "reject", "stop"]
"""What a diffusion does at det = 0."""
