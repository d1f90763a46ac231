"""safetensors files: narrow floats, and headers that claim too much."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyfiber.errors import FileFormatError

from .cases import read, safetensors, state


def test_narrow_floats_widen_exactly(tmp_path: Path) -> None:
    tensors = {k: v.astype(np.float16) for k, v in state(2, 3, 1).items()}
    net = read(tmp_path, safetensors(tensors))
    np.testing.assert_array_equal(net.weights[0], tensors["0.weight"].astype(np.float64))
    assert net.source["dtype"] == "float16"
    bits = np.array([0x3F80, 0xC020, 0x0001, 0x7F7F], dtype="<u2")  # 1, -2.5, the least, the largest bfloat16
    header = {"0.weight": {"dtype": "BF16", "shape": [1, 4], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    net = read(tmp_path, len(text).to_bytes(8, "little") + text + bits.tobytes())
    assert net.weights[0].tolist() == [[1.0, -2.5, 2.0**-133, (2 - 2.0**-7) * 2.0**127]]
    assert net.source["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"shape": [10**9, 10**9]}, "not a valid"),
        ({"shape": [-3, -2]}, "not a valid"),
        ({"shape": [True, 6]}, "not a valid"),
        ({"shape": "3"}, "not a valid"),
        ({"shape": [1] * 40}, "axes|not a valid"),
        ({"data_offsets": [0, 10**12]}, "not a valid"),
        ({"data_offsets": [24, 0]}, "not a valid"),
        ({"dtype": "F8_E4M3"}, "F8_E4M3|not a valid"),
        ({"dtype": ["F32"]}, "not a valid"),
    ],
)
def test_hostile_safetensors(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    header = {"0.weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24], **entry}}
    text = json.dumps(header).encode()
    with pytest.raises(FileFormatError, match=message):
        read(tmp_path, len(text).to_bytes(8, "little") + text + bytes(24))


def test_hostile_safetensors_header(tmp_path: Path) -> None:
    for text in (b"{" * 50_000, b'{"a":NaN}', b'{"a":3}', b"{} trailing", b'{"a":' * 60_000):
        with pytest.raises(FileFormatError):
            read(tmp_path, len(text).to_bytes(8, "little") + text + bytes(24))
    with pytest.raises(FileFormatError, match=r"not fully covered|IncompleteBuffer"):  # bytes that belong to no tensor
        read(tmp_path, safetensors(state(2, 3, 1)) + bytes(8))
