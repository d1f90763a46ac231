"""Array aliases and the small protocols that the floors share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
SignArray: TypeAlias = npt.NDArray[np.int8]
RankArray: TypeAlias = npt.NDArray[np.int16]
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
