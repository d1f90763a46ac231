"""State dicts with random numbers, and files of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import polyfiber as pf


def state(*widths: int, names: str = "{}", step: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    out = {}
    for i, (a, b) in enumerate(zip(widths[:-1], widths[1:])):
        name = names.format(i * step)
        out[f"{name}.weight"] = rng.standard_normal((b, a)).astype(np.float32)
        out[f"{name}.bias"] = rng.standard_normal(b).astype(np.float32)
    return out


def safetensors(tensors: dict[str, np.ndarray], **header: Any) -> bytes:
    body = b""
    for name, array in tensors.items():
        code = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64"}[array.dtype.name]
        header[name] = {
            "dtype": code,
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + array.nbytes],
        }
        body += array.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def read(tmp_path: Path, data: bytes, name: str = "net.safetensors") -> pf.ReLUNetwork:
    (tmp_path / name).write_bytes(data)
    return pf.read_network(tmp_path / name)
