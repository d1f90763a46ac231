"""Bytes of files that may be hostile: one clear error, and never more memory than is there."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from polyfiber.errors import FileFormatError, InputError, MissingFileError, ShapeError
from polyfiber.network.readers import files as module


def packed(**entries: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_regular_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert module.read_bytes(tmp_path / "a") == b"abc"
    with pytest.raises(MissingFileError, match="No such file"):
        module.read_bytes(tmp_path / "b")
    with pytest.raises(FileFormatError, match="directory"):
        module.read_bytes(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(FileFormatError, match="empty"):
        module.read_bytes(tmp_path / "empty")
    with pytest.raises(FileFormatError, match="cannot open"):
        module.read_bytes(Path("a\x00b"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="not a regular file"):
        module.read_bytes(tmp_path / "pipe")
    monkeypatch.setattr(module, "MAX_FILE", 2)
    with pytest.raises(FileFormatError, match="the limit is 2"):
        module.read_bytes(tmp_path / "a")


def test_archives_are_read_up_to_what_they_declare() -> None:
    archive = module.Zip(packed(a=b"abc", b=b""))
    assert archive.names == ["a", "b"]
    assert (archive.size("a"), archive.read("a"), archive.read("b")) == (3, b"abc", b"")
    with pytest.raises(FileFormatError, match="no entry 'c'"):
        archive.read("c")


def test_archives_that_lie_or_swell() -> None:
    good = packed(a=b"abc" * 100)
    for data in (b"", b"PK", good[:-30], b"x" * 100):
        with pytest.raises(FileFormatError, match="damaged zip"):
            module.Zip(data)
    bomb = packed(a=bytes(70 << 20))
    with pytest.raises(FileFormatError, match="claims to unpack to 73,400,320"):
        module.Zip(bomb)
    broken = bytearray(good)
    broken[32] ^= 0xFF  # within the packed bytes
    with pytest.raises(FileFormatError, match=r"cannot be unpacked|declares"):
        module.Zip(bytes(broken)).read("a")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(FileFormatError, match="two entries of the same name"):
        module.Zip(out.getvalue())


@pytest.mark.parametrize("shape", [(-1, 2), (1,) * 17, (0, 1 << 50)])
def test_shapes_that_are_none(shape: tuple[int, ...]) -> None:
    with pytest.raises(FileFormatError, match="declares"):
        module.count(shape, "it")


def test_numbers_fill_their_shape() -> None:
    data = np.arange(6, dtype="<f4").tobytes()
    assert module.array_from(data, "float32", (2, 3), "it").tolist() == [[0, 1, 2], [3, 4, 5]]
    for shape in ((2, 2), (10**9, 10**9), (7,)):
        with pytest.raises(FileFormatError, match="24 are there"):
            module.array_from(data, "float32", shape, "it")


def test_every_bfloat16_is_widened_exactly() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    wide = module.widen_bfloat16(bits)
    assert wide.dtype == np.float32
    assert (wide.view(np.uint32) >> 16 == bits).all()
    assert not (wide.view(np.uint32) & 0xFFFF).any()
    assert module.array_from(np.array([0x3F80, 0xC020], "<u2").tobytes(), "bfloat16", (2,), "it").tolist() == [
        1.0,
        -2.5,
    ]


def test_errors_name_the_file() -> None:
    for error in (ShapeError("no"), InputError("no")):
        with pytest.raises(type(error), match=r"^a\.npz: no$"), module.naming(Path("/tmp/a.npz")):
            raise error
    damaged = r"^a\.npz: cannot be read, probably damaged \(KeyError: 'x'\)"
    with pytest.raises(FileFormatError, match=damaged), module.naming(Path("/tmp/a.npz")):
        raise KeyError("x")
