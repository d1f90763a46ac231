"""Writing to arrays that nobody may write to: what damage in memory would do."""

from __future__ import annotations

import ctypes

import numpy as np


def opened(array: np.ndarray) -> np.ndarray:
    """The memory of a read-only array, as one that can be written to."""
    assert array.flags.c_contiguous
    assert not array.flags.writeable
    memory = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    return np.frombuffer(memory, dtype=array.dtype).reshape(array.shape)
