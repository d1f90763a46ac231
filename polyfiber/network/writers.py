"""Networks to files: ``.npz``, ``.onnx``, ``.safetensors``, ``.nnet``.

Whatever is written reads back as the same parameters, bit for bit: binary formats hold float32
where every parameter is one and float64 otherwise, ``.nnet`` holds decimal numbers with as
many digits as it takes. Exact networks keep their rationals in ``.npz`` only.
"""

from __future__ import annotations

import io
import json
import os
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import Array, FloatName
from ..errors import InputError
from .model import ReLUNetwork
from .names import local_path
from .onnx_writer import float_type, head_of, onnx_bytes
from .piecewise import AffineMap, PiecewiseLinearNetwork
from .readers.npz import FORMAT, VERSION
from .readers.npz_piecewise import FORMAT as PIECEWISE
from .sparse import SparseMatrix

LARGEST = "1.7976931348623157e308"


def write_network(
    net: ReLUNetwork | PiecewiseLinearNetwork, path: str | Path, *, dtype: FloatName | None = None
) -> None:
    """Write a network; the suffix of ``path`` chooses the format.

    Parameters
    ----------
    net : ReLUNetwork or PiecewiseLinearNetwork
    path : str or Path
        ``.npz`` or ``.onnx`` (any network), ``.safetensors`` or ``.nnet`` (ReLU chains). The file appears when it is
        whole.
    dtype : {'float32', 'float64'}, optional
        For ``.onnx`` and ``.safetensors``: default float32 if that is exact, else float64.

    Raises
    ------
    InputError
        Unknown suffix; an exact network in a format of floats; a dtype that is not exact for
        these parameters; a folder that cannot be written to.

    Notes
    -----
    A head (softmax, sigmoid) that was read off a file is recorded as metadata and not written
    as a layer: the outputs stay logits.

    Examples
    --------
    >>> import polyfiber as pf, tempfile, pathlib
    >>> net = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.onnx"
    >>> net.save(path)
    >>> pf.read_network(path) == net
    True
    """
    target = local_path(path, "a network")
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        raise InputError(f"cannot write {target.suffix or 'a file without suffix'!r}; expected {', '.join(_WRITERS)}")
    if net.is_exact and target.suffix.lower() != ".npz":
        raise InputError(f"{target.suffix} holds floats; save an exact network as .npz, or save net.rounded()")
    if isinstance(net, PiecewiseLinearNetwork) and target.suffix.lower() not in (".npz", ".onnx"):
        raise InputError(f"{target.suffix} is written for ReLU chains only; save this network as .npz or .onnx")
    data = writer(net, dtype)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as stream:  # a link of that name is not followed
            stream.write(data)
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"cannot write {target.name}: {error.strerror or error}") from None


def network_bytes(net: ReLUNetwork | PiecewiseLinearNetwork) -> bytes:
    """What `write_network` puts into an ``.npz`` file."""
    return _npz(net, None)


def _npz(net: ReLUNetwork | PiecewiseLinearNetwork, dtype: str | None) -> bytes:
    if dtype not in (None, "float64"):
        raise InputError(f"dtype {dtype!r}; .npz holds float64 or exact rationals")
    if isinstance(net, PiecewiseLinearNetwork):
        return _npz_piecewise(net)
    arrays: dict[str, Array] = {}
    for i, (w, b) in enumerate(zip(net.weights, net.biases), start=1):
        arrays[f"W{i}"], arrays[f"b{i}"] = _numbers(w), _numbers(b)
    return _archive(FORMAT, _facts(net), arrays)


def _facts(net: ReLUNetwork | PiecewiseLinearNetwork) -> dict[str, Any]:
    """What the archives of both kinds of networks say beside the numbers."""
    return {
        "architecture": net.architecture,
        **({"input_shape": list(net.input_shape)} if len(net.input_shape) > 1 else {}),
        "exact": net.is_exact,
        "head": head_of(net),
        "dtype": net.source.get("original_dtype", net.source.get("dtype")),
        "notes": list(net.source.get("notes", ())),
        "folding": [
            {k: v for k, v in record.items() if isinstance(v, str | int | float | bool | tuple | list)}
            for record in (*net.source.get("original_folding", ()), *net.source.get("folding", ()))
        ],
    }


def _npz_piecewise(net: PiecewiseLinearNetwork) -> bytes:
    """The layout is described in `readers.npz_piecewise`."""
    arrays: dict[str, Array] = {}
    reads: list[list[int]] = []

    def put(label: str, affine: AffineMap) -> None:
        reads.append(list(affine.weights))
        arrays[f"b_{label}"] = _numbers(affine.bias)
        for j, matrix in affine.weights.items():
            key = f"W_{label}_{j}"
            if isinstance(matrix, SparseMatrix):
                arrays[f"{key}_indptr"], arrays[f"{key}_indices"] = matrix.indptr, matrix.indices
                arrays[f"{key}_data"] = _numbers(matrix.data)
            else:
                arrays[key] = _numbers(matrix)

    groups = []
    for l, block in enumerate(net.blocks, start=1):
        put(str(l), block.affine)
        arrays[f"s_{l}"] = _numbers(block.slopes)
        groups.append([[g.node, g.operation, list(g.shape), g.role] for g in block.groups])
        for k, group in enumerate(block.groups):
            arrays[f"g_{l}_{k}"] = group.positions
    put("out", net.output)
    meta = {**_facts(net), "reads": reads, "groups": groups, "input_shape": list(net.input_shape)}
    return _archive(PIECEWISE, meta, arrays)


def _numbers(values: Array) -> Array:
    return _strings(values) if values.dtype == object else values


def _archive(kind: str, meta: dict[str, Any], arrays: dict[str, Array]) -> bytes:
    arrays = {
        "format": np.array(kind),
        "format_version": np.array(f"{VERSION[0]}.{VERSION[1]}"),
        "meta": np.array(json.dumps(meta)),
        **arrays,
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            # a fixed date: the same network gives the same bytes
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), buffer.getvalue())
    return out.getvalue()


def _digits(value: int) -> str:
    """``str(value)`` also beyond the interpreter's limit on digits."""
    if abs(value) < 10**4000:
        return str(value)
    sign, value, pieces = "-" if value < 0 else "", abs(value), []
    while value:
        value, low = divmod(value, 10**4000)
        pieces.append(str(low).zfill(4000))
    return sign + "".join(reversed(pieces)).lstrip("0")


def _strings(values: Array) -> Array:
    flat = [f"{_digits(v.numerator)}/{_digits(v.denominator)}" for v in values.ravel().tolist()]
    return np.array(flat, dtype=None if flat else "U1").reshape(values.shape)


def _safetensors(net: ReLUNetwork, dtype: str | None) -> bytes:
    kind = float_type([*net.weights, *net.biases], dtype)
    metadata = {"format": "pt", "polyfiber.head": head_of(net) or ""}
    header: dict[str, object] = {"__metadata__": metadata}
    body = bytearray()
    for i, (w, b) in enumerate(zip(net.weights, net.biases)):
        for name, array in ((f"{2 * i}.weight", w), (f"{2 * i}.bias", b)):
            raw = array.astype(np.dtype(kind).newbyteorder("<")).tobytes()
            offsets = [len(body), len(body) + len(raw)]
            header[name] = {
                "dtype": "F32" if kind == "float32" else "F64",
                "shape": list(array.shape),
                "data_offsets": offsets,
            }
            body += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(body)


def _nnet(net: ReLUNetwork, dtype: str | None) -> bytes:
    if dtype not in (None, "float64"):
        raise InputError(f"dtype {dtype!r}; .nnet holds decimal numbers of float64")
    widths = net.architecture
    box = net.source.get("input_box")
    low, high = box if box else (["-" + LARGEST] * widths[0], [LARGEST] * widths[0])

    def line(values: object) -> str:
        return ",".join(v if isinstance(v, str) else repr(float(v)) for v in values) + ","  # type: ignore[attr-defined]

    lines = [
        "// Neural network in the .nnet format, written by polyfiber",
        ",".join(map(str, (len(widths) - 1, widths[0], widths[-1], max(widths)))) + ",",
        ",".join(map(str, widths)) + ",",
        "0,",
        line(low),
        line(high),
        line([0.0] * (widths[0] + 1)),
        line([1.0] * (widths[0] + 1)),
    ]
    for w, b in zip(net.weights, net.biases):
        lines += [line(row) for row in w.tolist()]
        lines += [line([value]) for value in b.tolist()]
    return ("\n".join(lines) + "\n").encode()


_WRITERS: dict[str, Callable[[Any, str | None], bytes]] = {
    ".npz": _npz,
    ".onnx": onnx_bytes,
    ".safetensors": _safetensors,
    ".nnet": _nnet,
}
