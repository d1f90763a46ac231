"""NumPy archives: our own versioned layout, and plain ``W1, b1, W2, b2, …``.

Our layout adds ``format`` (``'polyfiber.network'``), ``format_version`` and ``meta`` (JSON).
Exact parameters are strings ``'p/q'``. Arrays are parsed here: nothing is unpickled, and a
header's claim is compared with the bytes that follow it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError, InputError, ShapeError
from ...numerics.digits import check_digits
from ...words import listed
from ..folding import Chain
from ..model import ReLUNetwork
from ..names import known_head, printable
from ..piecewise import PiecewiseLinearNetwork
from . import npz_piecewise
from .files import Zip, count, naming, read_bytes

FORMAT = "polyfiber.network"
VERSION = (1, 0)

_HEADER = re.compile(
    r"\{'descr': '([<>|=]?)([a-zA-Z])(\d+)', 'fortran_order': (True|False), "
    r"'shape': \((|N, ?|N(?:, ?N)+(?:, ?)?)\),? ?\}[ \n]*".replace("N", r"(?:0|[1-9]\d*)"),
    re.ASCII,
)
_WEIGHT = re.compile(r"(?:W|w|weights?|kernels?|coefs?)[_.]?(\d+)")
_BIAS = re.compile(r"(?:b|B|bias(?:es)?|intercepts?)[_.]?(\d+)")
_FRACTION = re.compile(r"-?\d{1,100000}(/[1-9]\d{0,99999})?", re.ASCII)


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of any ``.npz`` file, read-only, by name: numbers and strings, as hardened as networks.

    Raises
    ------
    FileFormatError
        Missing, damaged, a pickle, or claims of sizes that are not there.
    """
    with naming(path):
        data = read_bytes(path)
        if not data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            raise FileFormatError("this is no .npz file (a zip archive of arrays)")
        return _arrays(Zip(data))


def _arrays(archive: Zip) -> dict[str, Array]:
    return {name: parse_npy(archive.read(entry), entry) for name, entry in array_names(archive.names).items()}


def array_names(entries: Iterable[str]) -> dict[str, str]:
    """Entries by the names of their arrays; ``W1`` and ``W1.npy`` are the same name."""
    found: dict[str, str] = {}
    for entry in entries:
        if found.setdefault(entry.removesuffix(".npy"), entry) != entry:
            raise FileFormatError(f"the archive holds {entry.removesuffix('.npy')!r} twice")
    return found


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
    """Network of an ``.npz`` file."""
    arrays = _arrays(Zip(data))
    check_digits(arrays.values())
    source["format"] = "npz"
    meta = _meta(arrays)
    if folding := meta.get("folding"):  # of the file that the network was first read from
        source["original_folding"] = (
            tuple(r for r in folding if isinstance(r, dict)) if isinstance(folding, list) else ()
        )
    if meta.get("dtype"):
        source["original_dtype"] = str(meta["dtype"])
    shape = meta.get("input_shape")
    if isinstance(shape, list) and all(type(k) is int and k > 0 for k in shape):
        source["input_shape"] = tuple(shape)
    if meta.get("format") == npz_piecewise.FORMAT:
        return npz_piecewise.network_of(arrays, meta, source, rationals)
    weights = _numbered(arrays, _WEIGHT)
    biases = _numbered(arrays, _BIAS)
    if not weights:
        raise FileFormatError(f"no weights among {listed(arrays)}; expected W1, b1, W2, b2, …")
    if sorted(weights) != list(range(min(weights), min(weights) + len(weights))) or min(weights) not in (0, 1):
        raise FileFormatError(
            f"weights numbered {listed(sorted(weights))}; expected 1, 2, 3, … (or from 0) without gaps"
        )
    if extra := sorted(set(biases) - set(weights)):
        raise FileFormatError(f"biases {extra} have no weights")
    ws = [weights[i] for i in sorted(weights)]
    bs = [biases.get(i) for i in sorted(weights)]
    notes = list(meta.get("notes", [])) if isinstance(meta.get("notes"), list) else []
    if any(w.dtype.kind == "U" for w in ws):
        exact_ws = [rationals(w, f"W{i + 1}") for i, w in enumerate(ws)]
        exact_bs = [_zeros(w) if b is None else rationals(b, "a bias") for w, b in zip(ws, bs)]
        facts = {**source, "dtype": "exact", "head": known_head(meta.get("head")), "folding": (), "notes": tuple(notes)}
        return ReLUNetwork(exact_ws, exact_bs, source=facts)
    fits = _fits(ws, bs)
    if not meta and fits == (False, True):
        ws = [w.T for w in ws]
        notes.append("the matrices are stored as (inputs, outputs) and were transposed")
    elif not meta and fits == (True, True):
        notes.append("the shapes do not tell (outputs, inputs) from (inputs, outputs); the first is assumed")
    chain = Chain(ws[0].shape[1] if ws[0].ndim == 2 and ws[0].shape[1] else 1)
    for i, (w, b) in enumerate(zip(ws, bs), start=1):
        if i > 1:
            chain.relu(f"ReLU {i - 1}")
        chain.dense(w, b, name=f"W{i}")
    head = known_head(meta.get("head"))
    if head:
        chain.finish(head)
    return chain.network(source, notes=notes)


def network_of_bytes(data: bytes) -> ReLUNetwork | PiecewiseLinearNetwork:
    """The network of an archive that lies inside another."""
    return read(data, {})


def parse_npy(data: bytes, name: str) -> Array:
    """The array of one ``.npy`` entry: numbers or strings, never objects."""
    if not data.startswith(b"\x93NUMPY") or len(data) < 10:
        raise FileFormatError(f"{name} is not a NumPy array")
    major, minor = data[6:8]
    if major not in (1, 2, 3) or minor:
        raise FileFormatError(f"{name} has .npy version {major}.{minor}; expected 1.0, 2.0 or 3.0")
    start = 10 if major == 1 else 12
    size = int.from_bytes(data[8:start], "little")
    header = data[start : start + size]
    match = _HEADER.fullmatch(header.decode("latin-1"))
    if match is None or size > 10_000 or len(header) < size:
        if b"'|O'" in header[:200]:
            raise FileFormatError(f"{name} holds Python objects (a pickle); expected numbers")
        raise FileFormatError(f"{name} has a header that is not a plain array's: {header[:80]!r}")
    order, kind, item, fortran, sizes = match.groups()
    if kind not in "fiubUS" or int(item) > 1_000_000 or (kind == "f" and int(item) > 8):
        raise FileFormatError(f"{name} has dtype {kind}{item}; expected float16, float32, float64 or strings")
    try:
        dtype = np.dtype(f"{order}{kind}{item}")
    except TypeError:
        raise FileFormatError(f"{name} has dtype {kind}{item}, which NumPy does not know") from None
    shape = [int(n) for n in sizes.replace(" ", "").split(",") if n]
    body = data[start + size :]
    if count(shape, name) * dtype.itemsize != len(body):
        raise FileFormatError(
            f"{name} declares shape {tuple(shape)} of {dtype}, "
            f"which takes {count(shape, name) * dtype.itemsize:,} bytes; {len(body):,} are there"
        )
    if dtype.itemsize == 0:  # empty strings
        if count(shape, name) > len(data):
            raise FileFormatError(f"{name} declares {count(shape, name):,} empty strings in {len(data):,} bytes")
        return np.zeros(shape, dtype=f"{kind}1")
    return np.frombuffer(body, dtype=dtype).reshape(shape, order="F" if fortran == "True" else "C")


def _meta(arrays: dict[str, Array]) -> dict[str, Any]:
    if "format" not in arrays:
        return {}
    kind = str(arrays["format"].reshape(-1)[0]) if arrays["format"].size == 1 else ""
    if kind not in (FORMAT, npz_piecewise.FORMAT):
        raise FileFormatError(f"format is {printable(kind)!r}; expected {FORMAT!r} or {npz_piecewise.FORMAT!r}")
    version = str(arrays.get("format_version", np.array("?")).reshape(-1)[0])
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", version)
    if match is None or int(match[1]) > VERSION[0]:
        raise FileFormatError(
            f"format_version is {version!r}; this polyfiber reads up to {VERSION[0]}.x. A newer polyfiber wrote it"
        )
    try:
        meta = json.loads(str(arrays["meta"].reshape(-1)[0])) if "meta" in arrays else {}
    except (ValueError, RecursionError, IndexError):
        raise FileFormatError("meta is not JSON") from None
    return {**(meta if isinstance(meta, dict) else {}), "format": kind}


def _numbered(arrays: dict[str, Array], pattern: re.Pattern[str]) -> dict[int, Array]:
    found: dict[int, Array] = {}
    for name, array in arrays.items():
        if (match := pattern.fullmatch(name)) is not None:
            if int(match[1]) in found:
                raise FileFormatError(f"two arrays are number {match[1]}: {name!r} and another")
            found[int(match[1])] = array
    return found


def _fits(weights: list[Array], biases: list[Array | None]) -> tuple[bool, bool]:
    """Whether biases and chain of shapes fit matrices (outputs, inputs), and (inputs, outputs)."""
    if any(w.ndim != 2 for w in weights):
        raise ShapeError(f"weights of shapes {[w.shape for w in weights]}; expected matrices")
    pairs = [(w, b) for w, b in zip(weights, biases) if b is not None and b.ndim == 1]

    def fits(axis: int) -> bool:
        chain = all(a.shape[axis] == b.shape[1 - axis] for a, b in zip(weights[:-1], weights[1:]))
        return chain and all(w.shape[axis] == len(b) for w, b in pairs)

    return fits(0), fits(1)


def rationals(array: Array, what: str) -> Array:
    """Fractions of an array of strings ``p/q`` or of numbers."""
    out = np.empty(array.shape, dtype=object)
    for index, value in np.ndenumerate(array):
        if array.dtype.kind == "U":
            if _FRACTION.fullmatch(str(value)) is None:
                raise InputError(
                    f"{what} holds {printable(repr(str(value)), 60)} at {index}; expected a fraction like '-3/7', "
                    "of at most 100000 digits above and below"
                )
            p, _, q = str(value).partition("/")
            out[index] = Fraction(_integer(p), _integer(q or "1"))
        elif array.dtype.kind in "fiu" and np.isfinite(value):
            out[index] = Fraction(value.item())
        else:
            raise InputError(f"{what} holds {value!r} at {index}; expected finite numbers or fractions")
    return out


def _integer(digits: str) -> int:
    """``int(digits)`` also beyond the interpreter's limit on digits, in pieces."""
    sign, digits = (-1, digits[1:]) if digits.startswith("-") else (1, digits)
    value = 0
    for at in range(0, len(digits), 4000):
        piece = digits[at : at + 4000]
        value = value * 10 ** len(piece) + int(piece)
    return sign * value


def _zeros(weight: Array) -> Array:
    out = np.empty(weight.shape[:1], dtype=object)
    out[:] = Fraction(0)
    return out
