"""Whatever the bytes are: a network or one error of ours, quickly, and no large allocation."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError, PolyfiberError
from polyfiber.network.readers import detect
from polyfiber.network.readers.npz import read_arrays

DATA = Path(__file__).resolve().parents[2] / "data"
SHIPPED = sorted(p for p in DATA.rglob("*") if p.suffix in (".onnx", ".npz", ".pt", ".h5", ".keras"))
SLOW = (".h5", ".keras")
"""Each is read in a process of its own; `scripts/attacks/files/readers.py` damages them by the thousand."""


def attempt(path: Path) -> pf.ReLUNetwork | PolyfiberError:
    """The network, or the error if it is one of ours; anything else fails the test."""
    try:
        net = pf.read_network(path)
    except PolyfiberError as error:
        result = error
    else:
        result = None
    if result is not None:
        assert str(result).startswith(path.name)
        assert len(str(result)) < 2000
        return result
    if isinstance(net, pf.ReLUNetwork):  # networks of gates refuse what is not finite when they are made
        assert all(np.isfinite(a).all() for a in (*net.weights, *net.biases))
    return net


def samples(tmp_path: Path) -> dict[str, bytes]:
    """One small file of each format that this machine can write."""
    small = DATA / "wine_bottleneck.onnx"
    net = pf.read_network(small)
    out = {p.name: p.read_bytes() for p in (small, DATA / "iris_torch.pt", DATA / "iris_torch.onnx")}
    for suffix in (".npz", ".safetensors", ".nnet"):
        net.save(tmp_path / f"net{suffix}")
        out[f"net{suffix}"] = (tmp_path / f"net{suffix}").read_bytes()
    buffer = io.BytesIO()
    arrays = {f"{k}{i + 1}": a for i, pair in enumerate(zip(net.weights, net.biases)) for k, a in zip("Wb", pair)}
    np.savez_compressed(buffer, **arrays)
    out["compressed.npz"] = buffer.getvalue()
    try:
        import h5py
    except ImportError:
        return out
    config = (
        '{"class_name": "Sequential", "config": {"layers": ['
        '{"class_name": "Dense", "config": {"name": "a", "activation": "relu"}},'
        '{"class_name": "Dense", "config": {"name": "b", "activation": "linear"}}]}}'
    )
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["model_config"] = config
        for name, (w, b) in zip("ab", zip(net.weights, net.biases)):
            file[f"model_weights/{name}/{name}/kernel:0"] = w.T
            file[f"model_weights/{name}/{name}/bias:0"] = b
    out["net.h5"] = buffer.getvalue()
    return out


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_truncated(tmp_path: Path, path: Path) -> None:
    data = path.read_bytes()
    target = tmp_path / path.name
    rng = np.random.default_rng(len(data))
    few = 2 if path.suffix in SLOW else 25
    for size in [1, 2, 8, 9, 10, 64, len(data) - 1, *rng.integers(0, len(data), few).tolist()]:
        target.write_bytes(data[:size])
        result = attempt(target)
        # zip archives end in their directory: only ONNX and HDF5 may still hold all that is needed
        assert isinstance(result, PolyfiberError) or path.suffix in (".onnx", ".h5")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_flipped(tmp_path: Path, path: Path) -> None:
    flip(tmp_path, path.name, path.read_bytes(), 8 if path.suffix in SLOW else 60)


@pytest.mark.parametrize("kind", ["net.safetensors", "net.nnet", "net.h5", "compressed.npz"])
def test_flipped_and_truncated_other_formats(tmp_path: Path, kind: str) -> None:
    data = samples(tmp_path).get(kind)
    if data is None:
        pytest.skip("needs h5py")
    (tmp_path / kind).write_bytes(data)
    assert isinstance(attempt(tmp_path / kind), pf.ReLUNetwork)
    few = 15 if kind == "net.h5" else 1
    flip(tmp_path, kind, data, 150 // few)
    for size in np.random.default_rng(2).integers(0, len(data), 60 // few).tolist():
        (tmp_path / kind).write_bytes(data[:size])
        attempt(tmp_path / kind)


def flip(tmp_path: Path, name: str, data: bytes, times: int) -> None:
    rng = np.random.default_rng(times + len(data))
    target = tmp_path / f"flipped_{name}"
    kinds = {"read": 0, "refused": 0}
    for i in range(times):
        damaged = bytearray(data)
        # half of the flips fall on the first kilobyte, where headers are
        reach = min(len(data), 1024) if i % 2 else len(data)
        for at in rng.integers(0, reach, 1 + i % 4):
            damaged[at] = int(rng.integers(256)) if i % 3 else damaged[at] ^ (1 << int(rng.integers(8)))
        target.write_bytes(damaged)
        kinds["refused" if isinstance(attempt(target), PolyfiberError) else "read"] += 1
    assert kinds["refused"] > 0


@pytest.mark.parametrize("seed", range(5))
def test_noise(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = tmp_path / "noise.onnx"
    magics = [
        b"",
        b"\x89HDF\r\n\x1a\n",
        b"PK\x03\x04",
        b"\x80\x02",
        b"\x08\x08",
        b"//\n",
        b"\x93NUMPY",
        b"\x40" + bytes(7) + b"{",
    ]
    for magic in magics:
        target.write_bytes(magic + rng.bytes(int(rng.integers(1, 3000))))
        assert isinstance(attempt(target), PolyfiberError)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    expected = {
        "npz": ".npz",
        "safetensors": ".safetensors",
        "nnet": ".nnet",
        "pt": ".pt",
        "onnx": ".onnx",
        "keras": ".h5",
    }
    for name, data in samples(tmp_path).items():
        kind = detect(data)
        assert expected[kind] == Path(name).suffix
        for suffix in (".bin", ".h5", ".onnx", ""):
            disguised = tmp_path / f"disguised{suffix}"
            disguised.write_bytes(data)
            assert isinstance(attempt(disguised), pf.ReLUNetwork)


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.trace),))


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_are_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    for thing in (Evil(tmp_path / "ran"), {"coefs_": [np.ones((2, 2))]}, [1, 2]):
        target = tmp_path / "model.pkl"
        target.write_bytes(pickle.dumps(thing, protocol=protocol))
        error = attempt(target)
        assert isinstance(error, FileFormatError)
        assert not (tmp_path / "ran").exists()
        if protocol >= 2:
            assert "pickle" in str(error)
            assert "from_sklearn" in str(error)


def test_control_characters_of_a_file_are_not_shown(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(DATA / "iris.onnx")
    for node in model.graph.node:
        node.name += "\x1b[31m\n" + "long" * 500
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    net = pf.read_network(tmp_path / "x.onnx")
    shown = [*net.source["notes"], *(o for r in net.source["folding"] for o in r["operations"])]
    assert all(text.isprintable() and len(text) < 300 for text in shown)
    model.graph.node[-2].op_type = "Tanh\x1b[31m"
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    error = attempt(tmp_path / "x.onnx")
    assert isinstance(error, PolyfiberError)
    assert str(error).isprintable()


def test_arrays_that_are_no_networks_are_read_as_carefully(tmp_path: Path) -> None:
    """`read_arrays` is behind canonical forms, strata of weights and tables to train on."""
    form = tmp_path / "form.npz"
    pf.canonical_form(pf.ReLUNetwork.random((3, 3, 2, 2), rng=0)).save(form)
    data = form.read_bytes()
    assert {"facts", "hyperplanes"} <= read_arrays(form).keys()
    assert pf.CanonicalForm.load(form).inputs == 3
    rng = np.random.default_rng(0)
    damaged = [b"", b"PK", pickle.dumps([1]), data[:-30], *(data[: int(n)] for n in rng.integers(1, len(data), 20))]
    for _ in range(60):
        flipped = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            flipped[at] ^= int(rng.integers(1, 256))
        damaged.append(bytes(flipped))
    for bad in damaged:
        form.write_bytes(bad)
        for read in (read_arrays, pf.CanonicalForm.load):
            with contextlib.suppress(FileFormatError):
                read(form)
    with pytest.raises(FileFormatError, match="cannot open"):
        read_arrays(tmp_path / "absent.npz")


def test_things_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "folder.onnx").mkdir()
    cases = {
        "missing.onnx": "cannot open",
        "empty.onnx": "empty",
        "folder.onnx": "directory",
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.onnx")  # opening one would wait for a writer
        cases["fifo.onnx"] = "not a regular file"
    for name, message in cases.items():
        with pytest.raises(FileFormatError, match=message):
            pf.read_network(tmp_path / name)
    with pytest.raises(pf.errors.InputError, match="holds no NUL"):  # no file can have this name
        pf.read_network(tmp_path / "nul\0.onnx")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"weights": [[1, 2]]}', "text file"),
        (b"<html>", "text file"),
        (b"\x1f\x8b" + bytes(20), "compressed"),
        (b"\x93NUMPY\x01\x00" + bytes(20), "single NumPy array"),
        (b"\xff\xfe\xfd" * 20, "no known format"),
        (b"\x00" * 100, "no known format"),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(FileFormatError, match=message):
        pf.read_network(tmp_path / "x")


def test_other_archives(tmp_path: Path) -> None:
    for names, message in [
        (["a.txt"], "neither"),
        ([], "neither|damaged"),
        (["net/constants.pkl", "net/data.pkl", "net/code/net.py"], "TorchScript"),
        (["a/data.pkl", "b/data.pkl"], "2 entries"),
        (["model.weights.h5"], "config.json"),
    ]:
        with zipfile.ZipFile(tmp_path / "x", "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")
        with pytest.raises(FileFormatError, match=message):
            pf.read_network(tmp_path / "x")


def test_a_large_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyfiber.network.readers.files.MAX_FILE", 100)
    monkeypatch.setattr(Path, "read_bytes", None)
    (tmp_path / "big.onnx").write_bytes(bytes(101))
    with pytest.raises(FileFormatError, match="limit"):
        pf.read_network(tmp_path / "big.onnx")


def test_claims_of_a_billion_take_no_memory(tmp_path: Path) -> None:
    """Every size field of small files set to large values; the peak stays small."""
    targets = {k: v for k, v in samples(tmp_path).items() if not k.endswith(".h5")}
    pf.read_network(DATA / "iris.onnx")  # imports
    tracemalloc.start()
    try:
        for name, data in targets.items():
            for at in range(0, min(len(data) - 4, 1200), 37):
                for claim in (b"\xff\xff\xff\x7f", (10**9).to_bytes(4, "little")):
                    (tmp_path / name).write_bytes(data[:at] + claim + data[at + 4 :])
                    attempt(tmp_path / name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 << 20


SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases"
COLLECTED = [
    p
    for p in sorted((SHARED / "hostile").glob("*"))
    if p.name.partition("_")[0] in ("onnx", "npz", "h5", "keras", "nnet", "pt", "st", "empty.bin")
]
HARMLESS = {"h5_good.h5": (2, 1), "onnx_cast_chain.onnx": (2, 1), "onnx_cos.onnx": (2, 1)}


@pytest.mark.parametrize("path", COLLECTED, ids=lambda p: p.name)
def test_collected_attacks(path: Path) -> None:
    """Refused with one error; three only hold much that nobody needs."""
    result = attempt(path)
    if path.name in HARMLESS:
        assert isinstance(result, pf.ReLUNetwork)
        assert result.architecture == HARMLESS[path.name]
    else:
        assert isinstance(result, PolyfiberError)
        assert "Error:" not in str(result) or path.suffix in (".h5", ".safetensors")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the collected cases")
def test_collected_files() -> None:
    values = {
        "extra_normalisation.nnet": ([12, 3], 8.7),
        "extraneous_line.nnet": ([12, 3], 12.95),
        "keras1_layout.h5": ([1, -2], -0.026140141430459174),
    }
    for name, (point, value) in values.items():
        net = pf.read_network(SHARED / "files" / name)
        assert net(np.array(point, dtype=float)).item() == pytest.approx(value, abs=1e-7)
    with pytest.raises(FileFormatError, match="begins with layers, inputs, outputs"):
        pf.read_network(SHARED / "files" / "tiny_text.nnet")


def test_a_box_of_nnet_that_is_inside_out(tmp_path: Path) -> None:
    path = tmp_path / "a.nnet"
    pf.ReLUNetwork.random((2, 3, 1), rng=0).save(path)
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("2,3,1")) + 2
    lines[at : at + 2] = ["1.0,1.0,", "-1.0,1.0,"]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FileFormatError, match=r"at least 1\.0 and at most -1\.0"):
        pf.read_network(path)


def test_fractions_of_too_many_digits(tmp_path: Path) -> None:
    """Few kilobytes of equal digits would take minutes to bring to lowest terms; one fraction too long is no fraction."""
    about = {"format": "polyfiber.network", "format_version": "1.0", "meta": "{}", "b1": np.array(["0"])}
    long = np.array([["7" * 99_999 + "/" + "3" * 99_999] * 64])
    np.savez_compressed(tmp_path / "many.npz", W1=long, **about)
    assert (tmp_path / "many.npz").stat().st_size < 100_000
    found = attempt(tmp_path / "many.npz")
    assert "so many digits" in str(found)
    np.savez_compressed(tmp_path / "one.npz", W1=long[:, :1], **about)
    assert pf.read_network(tmp_path / "one.npz").is_exact
    np.savez_compressed(tmp_path / "long.npz", W1=np.array([["1" * 100_001]]), **about)
    found = attempt(tmp_path / "long.npz")
    assert "at most 100000 digits" in str(found)
