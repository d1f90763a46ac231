"""``.npz``, ours and plain: what is read, what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError, InputError, PolyfiberError, ShapeError

RNG = np.random.default_rng(11)


W1, B1, W2, B2 = (RNG.standard_normal(s) for s in ((3, 2), (3,), (1, 3), (1,)))


@pytest.mark.parametrize(
    "names", ["W{} b{}", "w_{} bias_{}", "weights.{} biases.{}", "coef{} intercept{}", "kernel_{} b{}"]
)
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("compressed", [False, True])
def test_plain_names(tmp_path: Path, names: str, start: int, compressed: bool) -> None:
    w, b = names.split()
    arrays = {w.format(start): W1, b.format(start): B1, w.format(start + 1): W2, b.format(start + 1): B2}
    (np.savez_compressed if compressed else np.savez)(tmp_path / "net.npz", **arrays)
    net = pf.read_network(tmp_path / "net.npz")
    assert net == pf.ReLUNetwork([W1, W2], [B1, B2])
    assert net.source["dtype"] == "float64"


def test_transposed_without_biases_and_other_orders(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", W1=W1.T, b1=B1, W2=W2.T, b2=B2)
    net = pf.read_network(tmp_path / "net.npz")
    assert net == pf.ReLUNetwork([W1, W2], [B1, B2])
    assert any("transposed" in note for note in net.source["notes"])
    square = {"W1": W1[:2], "b1": B1[:2], "W2": W1[1:], "b2": B1[:2]}
    np.savez(tmp_path / "net.npz", **square)
    net = pf.read_network(tmp_path / "net.npz")
    assert net == pf.ReLUNetwork([W1[:2], W1[1:]], [B1[:2], B1[:2]])
    assert any("do not tell" in note for note in net.source["notes"])
    np.savez(tmp_path / "net.npz", W1=np.asfortranarray(W1.astype(">f4")), W2=W2.astype(np.float32))
    net = pf.read_network(tmp_path / "net.npz")
    assert net == pf.ReLUNetwork([W1.astype(np.float32), W2.astype(np.float32)], [np.zeros(3), np.zeros(1)])
    assert net.source["dtype"] == "float32"


def npy(array: Any, header: str | None = None, body: bytes | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array), allow_pickle=True)
    data = out.getvalue()
    size = int.from_bytes(data[8:10], "little")
    if header is None:
        return data
    text = header.encode() + b"\n"
    return data[:8] + len(text).to_bytes(2, "little") + text + (data[10 + size :] if body is None else body)


def archive(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in entries.items():
            file.writestr(f"{name}.npy", data)
    return path


def header(descr: str = "<f8", shape: str = "(3, 2)") -> str:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"


OURS = {"format": npy("polyfiber.network"), "W1": npy(W1), "b1": npy(B1), "W2": npy(W2), "b2": npy(B2)}


HOSTILE: dict[str, tuple[dict[str, bytes], type[PolyfiberError], str]] = {
    "objects": ({"W1": npy(np.array([[1, 2]], dtype=object))}, FileFormatError, "pickle"),
    "huge claim": ({"W1": npy(W1, header(shape="(1000000000, 1000000000)"))}, FileFormatError, "declares shape"),
    "many axes": ({"W1": npy(W1, header(shape="(" + "1, " * 40 + ")"))}, FileFormatError, "axes"),
    "huge item": ({"W1": npy(W1, header("<U999999999"))}, FileFormatError, "dtype"),
    "code in the header": ({"W1": npy(W1, "__import__('os').system('true')")}, FileFormatError, "header"),
    "nested header": ({"W1": npy(W1, "(" * 5000)}, FileFormatError, "header"),
    "complex": ({"W1": npy(W1 + 0j)}, FileFormatError, "dtype"),
    "version 9": ({"W1": b"\x93NUMPY\x09" + npy(W1)[7:]}, FileFormatError, "version"),
    "version 1.7": ({"W1": b"\x93NUMPY\x01\x07" + npy(W1)[8:]}, FileFormatError, "version"),
    "a size in two": ({"W1": npy(W1, header(shape="(1 0, 2)"))}, FileFormatError, "header"),
    "a size from zero": ({"W1": npy(W1, header(shape="(02, 2)"))}, FileFormatError, "header"),
    "no tuple": ({"W1": npy(W1, header(shape="(4)"))}, FileFormatError, "header"),
    "another blank": ({"W1": npy(W1, header() + "\x1f")}, FileFormatError, "header"),
    "floats of three bytes": ({"W1": npy(W1, header("<f3"))}, FileFormatError, "does not know"),
    "cut off": ({"W1": npy(W1)[:-8]}, FileFormatError, "bytes"),
    "not an array": ({"W1": b"hello"}, FileFormatError, "not a NumPy array"),
    "nan": ({"W1": npy(W1 * np.nan)}, InputError, "nan"),
    "a vector": ({"W1": npy(B1)}, ShapeError, "expected matrices"),
    "no weights": ({"x": npy(W1)}, FileFormatError, "no weights"),
    "a gap": ({"W1": npy(W1), "W3": npy(W2)}, FileFormatError, "gaps"),
    "two firsts": ({"W1": npy(W1), "w_1": npy(W1)}, FileFormatError, "number 1"),
    "a stray bias": ({"W1": npy(W1), "b2": npy(B2)}, FileFormatError, "no weights"),
    "no chain": ({"W1": npy(W1), "b1": npy(B1), "W2": npy(W1), "b2": npy(B1)}, ShapeError, "expects 2 inputs"),
    "strings": ({"W1": npy(np.array([["abc", "1/2"]]))}, InputError, "fraction"),
    "zero denominator": ({"W1": npy(np.array([["1/0"]]))}, InputError, "fraction"),
    "empty": ({"W1": npy(np.zeros((0, 2)))}, PolyfiberError, "W1"),
    "other format": ({**OURS, "format": npy("other")}, FileFormatError, "format is"),
    "newer version": ({**OURS, "format_version": npy("2.0")}, FileFormatError, "newer polyfiber"),
    "odd version": ({**OURS, "format_version": npy("new")}, FileFormatError, "format_version"),
    "meta is not JSON": ({**OURS, "format_version": npy("1.0"), "meta": npy("{")}, FileFormatError, "meta"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_npz(tmp_path: Path, name: str) -> None:
    entries, error, message = HOSTILE[name]
    with pytest.raises(error, match=message):
        pf.read_network(archive(tmp_path / "net.npz", entries))


def test_minor_versions_are_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "net.npz", {**OURS, "format_version": npy("1.7")})
    assert pf.read_network(path) == pf.ReLUNetwork([W1, W2], [B1, B2])


def test_one_name_for_two_arrays(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.npz", {"W1": npy(W1), "b1": npy(B1)})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("W1", npy(2 * W1))
    with pytest.raises(FileFormatError, match="neither"):
        pf.read_network(path)
    with pytest.raises(FileFormatError, match="'W1' twice"):
        pf.PolyhedralComplex.load(path)


def test_zip_bombs(tmp_path: Path) -> None:
    path = archive(tmp_path / "net.npz", {"W1": bytes(80 << 20)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    with pytest.raises(FileFormatError, match="claims to unpack"):
        pf.read_network(path)
    # an entry that holds more than it declares
    data = bytearray(archive(tmp_path / "lie.npz", {"W1": npy(W1) + bytes(1000)}, zipfile.ZIP_DEFLATED).read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = len(npy(W1)).to_bytes(4, "little")
    (tmp_path / "lie.npz").write_bytes(data)
    with pytest.raises(FileFormatError):
        pf.read_network(tmp_path / "lie.npz")
