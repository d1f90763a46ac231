"""Checkpoints read without torch: written by hand, shipped, and hostile."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError
from polyfiber.network.readers.pt import interpret

from .cases import read

DATA = Path(__file__).resolve().parents[3] / "data"


def test_shipped_state_dict_reads_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    net = pf.read_network(DATA / "iris_torch.pt")
    assert net.architecture == (4, 12, 12, 3)
    assert net.source["dtype"] == "float32"
    other = pf.read_network(DATA / "iris_torch.onnx")
    X = np.random.default_rng(0).uniform(0, 8, (50, 4))
    # epsilon 1e-5 here, float32(1e-5) in the ONNX file
    np.testing.assert_allclose(net(X), other(X), rtol=1e-8, atol=1e-8)


def pt(program: bytes, entries: dict[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("net/data.pkl", program)
        for name, data in (entries or {}).items():
            archive.writestr(f"net/{name}", data)
    return out.getvalue()


def tensor_program(shape: bytes, stride: bytes, offset: bytes = b"K\x00", numel: bytes = b"K\x06") -> bytes:
    """{'0.weight': tensor} as torch writes it, with the given numbers."""
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + numel + b"tQ"
    arguments = b"(" + storage + offset + shape + stride + b"\x89N" + b"t"
    return b"\x80\x02}X\x08\x00\x00\x000.weightctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


def test_handwritten_checkpoint(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4")
    data = pt(tensor_program(b"K\x03K\x02\x86", b"K\x02K\x01\x86"), {"data/0": values.tobytes()})
    assert read(tmp_path, data, "net.pt").weights[0].tolist() == values.reshape(3, 2).tolist()
    data = pt(tensor_program(b"K\x02K\x03\x86", b"K\x01K\x02\x86"), {"data/0": values.tobytes()})  # a transposed view
    assert read(tmp_path, data, "net.pt").weights[0].tolist() == values.reshape(3, 2).T.tolist()


BILLION = b"J\x00\xca\x9a\x3b"


HOSTILE_PT = {
    "claims more than the storage": (
        tensor_program(BILLION + b"K\x02\x86", b"K\x02K\x01\x86"),
        "claim 16,000,000,000 bytes",
    ),
    "expands one number": (tensor_program(BILLION + BILLION + b"\x86", b"K\x00K\x00\x86"), "claim 8,000,000"),
    "expands a little": (tensor_program(b"K\x64K\x64\x86", b"K\x00K\x00\x86"), "claims shape"),
    "storage larger than its entry": (
        tensor_program(b"K\x03K\x02\x86", b"K\x02K\x01\x86", numel=BILLION),
        "claims 1,000,000,000 numbers",
    ),
    "offset out of range": (tensor_program(b"K\x03K\x02\x86", b"K\x02K\x01\x86", b"K\x05"), "claims shape"),
    "negative stride": (tensor_program(b"K\x03K\x02\x86", b"J\xff\xff\xff\xffK\x01\x86"), "strides"),
    "runs a command": (b"cposix\nsystem\n(X\x04\x00\x00\x00truetR.", "posix.system"),
    "a whole module": (b"\x80\x02ctorch.nn.modules.container\nSequential\n)\x81}b.", "whole module"),
    "calls eval": (b"\x80\x02c__builtin__\neval\n(X\x01\x00\x00\x001tR.", "__builtin__.eval"),
    "sets state of an object": (b"\x80\x02]}b.", "state"),
    "builds an instance": (b"\x80\x02(i__main__\nNet\n.", "INST"),
    "no stop": (b"\x80\x02}", "damaged|too early"),
    "stack underflow": (b"\x80\x02\x85.", "damaged"),
    "unknown memo": (b"\x80\x02h\x07.", "damaged"),
    "a list": (b"\x80\x02].", "list"),
    "numbers only": (b"\x80\x02}X\x01\x00\x00\x00aK\x01s.", "no tensors"),
    "empty": (b"", "damaged|too early"),
    "unhashable key": (b"\x80\x02}]K\x01s.", "as a key"),
    "a tensor that is a name": (b"\x80\x02ccollections\nOrderedDict\n.", "expected a state dict"),
    "called with junk": (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04tR.", "damaged"),
    "long claims": (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE_PT)
def test_hostile_checkpoints(tmp_path: Path, name: str) -> None:
    program, message = HOSTILE_PT[name]
    with pytest.raises(FileFormatError, match=message):
        read(tmp_path, pt(program, {"data/0": bytes(24)}), "net.pt")


def test_a_program_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyfiber.network.readers.pt.MAX_OPCODES", 1000)
    with pytest.raises(FileFormatError, match="too long"):
        interpret(b"\x80\x02" + b"N0" * 5000 + b".")


def test_many_views_of_one_storage_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyfiber.network.readers.pt.inflated_limit", lambda size: 40)
    data = pt(tensor_program(b"K\x03K\x02\x86", b"K\x02K\x01\x86"), {"data/0": bytes(24)})
    with pytest.raises(FileFormatError, match="claim 48 bytes"):
        read(tmp_path, data, "net.pt")


def test_missing_storage_and_byte_order(tmp_path: Path) -> None:
    program = tensor_program(b"K\x03K\x02\x86", b"K\x02K\x01\x86")
    with pytest.raises(FileFormatError, match="no entry"):
        read(tmp_path, pt(program), "net.pt")
    with pytest.raises(FileFormatError, match="big-endian"):
        read(tmp_path, pt(program, {"data/0": bytes(24), "byteorder": b"big"}), "net.pt")
