"""The files in data/ and networks made by others, where they are at hand."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.network.summary import describe

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
NETS = next((p for p in (ROOT.parent / "shared" / "nets", ROOT.parent.parent / "shared" / "nets") if p.is_dir()), None)
needs_nets = pytest.mark.skipif(NETS is None, reason="networks made by others are not at hand")

SHIPPED = {
    "iris_petals": (2, 16, 16, 3),
    "iris": (4, 12, 12, 3),
    "wine_bottleneck": (13, 6, 4, 3),
    "wine_three": (3, 16, 16, 3),
    "diabetes_three": (3, 16, 16, 1),
    "breast_cancer": (30, 8, 5, 1),
    "digits_bottleneck": (64, 16, 10, 10),
}
LOADERS = {
    "iris_petals": "iris",
    "wine_bottleneck": "wine",
    "breast_cancer": "breast_cancer",
    "digits_bottleneck": "digits",
}


def run_onnx(path: Path, X: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    if isinstance(entry.shape[0], int):  # a fixed batch of one
        shape = tuple(entry.shape)
        rows = [session.run(None, {entry.name: x.reshape(shape)})[0].reshape(1, -1) for x in X]
        return np.concatenate(rows)
    return np.asarray(session.run(None, {entry.name: X})[0])


def apply_head(Z: np.ndarray, head: str | None) -> np.ndarray:
    if head == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-Z)))
    if head == "softmax":
        E = np.exp(Z - Z.max(axis=1, keepdims=True))
        return np.asarray(E / E.sum(axis=1, keepdims=True))
    return Z


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped(name: str) -> None:
    net = pf.read_network(DATA / f"{name}.onnx")
    assert net.architecture == SHIPPED[name]
    assert pf.read_network(DATA / f"{name}.npz") == net, "the .npz is the .onnx as read"
    assert net.source["dtype"] == "float32"
    saved = pf.read_network(DATA / f"{name}.npz").source
    assert saved["original_dtype"] == "float32"
    errors = [(r["weight_error"], r["bias_error"]) for r in net.source["folding"]]
    assert [(r["weight_error"], r["bias_error"]) for r in saved.get("original_folding", ())] == errors
    folded = [record["operations"] for record in net.source["folding"]]
    assert folded == ([] if name == "digits_bottleneck" else [("centre", "scale", "matmul0", "add0")])
    facts = json.loads(json.dumps(describe(net)))
    assert facts["dead"] == facts["unused"] == facts["duplicate_rows"] == facts["proportional_rows"] == []
    assert facts["first_layer_rank"] == min(SHIPPED[name][:2])
    assert facts["bottleneck"] == (name in ("wine_bottleneck", "breast_cancer", "digits_bottleneck"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_agrees_with_onnxruntime(name: str) -> None:
    net = pf.read_network(DATA / f"{name}.onnx")
    scale = {"diabetes_three": [26, 95, 4.6], "iris_petals": [4, 1], "iris": [6, 3, 4, 1], "wine_three": [13, 2, 5]}
    centre = np.array(scale.get(name, [1.0] * net.architecture[0]))
    X = (centre * (1 + 0.3 * np.random.default_rng(0).standard_normal((40, len(centre))))).astype(np.float32)
    np.testing.assert_allclose(
        run_onnx(DATA / f"{name}.onnx", X), apply_head(net(X), net.source["head"]), rtol=2e-4, atol=2e-5
    )


@pytest.mark.parametrize("name", LOADERS)
def test_shipped_classifies_its_data(name: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = getattr(datasets, f"load_{LOADERS[name]}")(return_X_y=True)
    X = X[:, 2:4] if name == "iris_petals" else X  # in the units of the data
    Z = pf.read_network(DATA / f"{name}.npz")(X)
    found = Z.argmax(axis=1) if Z.shape[1] > 1 else (Z[:, 0] > 0).astype(int)
    assert (found == y).mean() > 0.95


def test_torch_files_agree() -> None:
    net = pf.read_network(DATA / "iris_torch.onnx")
    X = np.random.default_rng(0).uniform(0, 8, (40, 4)).astype(np.float32)
    np.testing.assert_allclose(run_onnx(DATA / "iris_torch.onnx", X), net(X), rtol=1e-4, atol=1e-4)
    (record,) = net.source["folding"]
    assert any("BatchNormalization" in operation for operation in record["operations"])
    state = pf.read_network(DATA / "iris_torch.pt")
    assert state.architecture == net.architecture == (4, 12, 12, 3)
    np.testing.assert_allclose(state(X), net(X), rtol=1e-8, atol=1e-8)


@pytest.mark.torch
def test_torch_reads_the_state_dict_the_same() -> None:
    torch = pytest.importorskip("torch")
    state = torch.load(DATA / "iris_torch.pt", weights_only=True)
    assert pf.from_torch(state) == pf.read_network(DATA / "iris_torch.pt")


def test_data_is_small_and_described() -> None:
    files = [p for p in DATA.iterdir() if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 1_000_000
    text = (DATA / "README.md").read_text()
    for path in files:
        assert path.name == "README.md" or (path.stem in text and path.suffix in text)


# ---- made by others -------------------------------------------------------------------------
@needs_nets
@pytest.mark.parametrize(
    ("name", "architecture", "head"),
    [
        ("acasxu_1_1.onnx", (5, 50, 50, 50, 50, 50, 50, 5), None),
        ("acasxu_3_3.onnx", (5, 50, 50, 50, 50, 50, 50, 5), None),
        ("cartpole.onnx", (4, 64, 64, 2), None),
        ("vdp.onnx", (3, 32, 32, 3), None),
        ("balance_scale_lin.h5", (4, 4, 4, 3), None),
        ("balance_scale_lin2.h5", (4, 4, 4, 3), None),
        ("mnist8x8_lin.h5", (64, 32, 16, 10), None),
        ("mnist8x8_30p_retrain.h5", (64, 32, 16, 10), None),
        ("mnist8x8_student_24_12_10.h5", (64, 24, 12, 10), None),
        ("adult_AC-2.h5", (13, 100, 1), "sigmoid"),
        ("adult_AC-3.h5", (13, 50, 1), "sigmoid"),
        ("carlini_10_5x2_1.keras", (10, 5, 5, 1), "softmax"),
    ],
)
def test_networks_made_by_others(name: str, architecture: tuple[int, ...], head: str | None) -> None:
    assert NETS is not None
    path = NETS / name
    if path.suffix != ".onnx":
        pytest.importorskip("h5py")
    net = pf.read_network(path)
    assert net.architecture == architecture
    assert net.source["head"] == head
    assert net.source["dtype"] == ("float64" if "carlini" in name else "float32")
    X = np.random.default_rng(0).standard_normal((25, architecture[0])).astype(np.float32)
    if path.suffix == ".onnx":
        np.testing.assert_allclose(run_onnx(path, X), net(X), rtol=1e-4, atol=1e-5)
        return
    # h5py's numbers, multiplied by hand
    import h5py

    source: io.BytesIO | Path = path
    if path.suffix == ".keras":
        source = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))
    kernels: dict[str, np.ndarray] = {}
    with h5py.File(source) as file:

        def keep(item: str, value: object) -> None:
            if isinstance(value, h5py.Dataset) and "optimizer" not in item:
                kernels[item] = value[()]

        file.visititems(keep)
    matrices = [v for _, v in sorted(kernels.items()) if v.ndim == 2]
    vectors = [v for _, v in sorted(kernels.items()) if v.ndim == 1]
    assert len(matrices) == len(vectors) == len(architecture) - 1
    Y = X.astype(np.float64)
    for i, (w, b) in enumerate(zip(matrices, vectors)):
        Y = (np.maximum(Y, 0) if i else Y) @ w.astype(np.float64) + b
    np.testing.assert_allclose(net(X), Y, rtol=1e-11, atol=1e-11)


@needs_nets
def test_a_pruned_network_shows_its_zeros() -> None:
    assert NETS is not None
    pytest.importorskip("h5py")
    facts = describe(pf.read_network(NETS / "mnist8x8_30p_retrain.h5"))
    total = 64 * 32 + 32 * 16 + 16 * 10
    assert 0.28 < sum(facts["zero_weights"]) / total < 0.32


@needs_nets
def test_flipped_files_made_by_others(tmp_path: Path) -> None:
    assert NETS is not None
    rng = np.random.default_rng(0)
    for path in sorted(NETS.iterdir()):
        if path.suffix not in (".onnx", ".h5", ".keras"):
            continue
        data = path.read_bytes()
        for i in range(8 if path.suffix == ".onnx" else 2):  # HDF5 is read in a process of its own
            damaged = bytearray(data[: len(data) if i % 5 else int(rng.integers(len(data)))])
            if damaged:
                for at in rng.integers(0, len(damaged), 3):
                    damaged[at] = int(rng.integers(256))
            (tmp_path / path.name).write_bytes(damaged)
            with contextlib.suppress(pf.errors.PolyfiberError):  # any other error fails the test
                pf.read_network(tmp_path / path.name)


GRAPHS = {
    "digits_cnn": (64, 256, 128, 128, 128, 64, 64, 10),
    "digits_residual": (64, 128, 128, 128, 128, 128, 10),
    "iris_petals_leaky": (2, 12, 12, 3),
    "wine_three_residual": (3, 8, 8, 8, 3),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_shipped_graphs_agree_with_onnxruntime(name: str) -> None:
    path = DATA / f"{name}.onnx"
    assert path.stat().st_size < 300_000
    net = pf.read_network(path)
    assert isinstance(net, pf.PiecewiseLinearNetwork)
    assert net.architecture == GRAPHS[name]
    rng = np.random.default_rng(0)
    low, high = {"digits": (0, 16), "iris": (0, 7), "wine": (0, 14)}[name.partition("_")[0]]
    X = rng.uniform(low, high, (1000, *net.input_shape)).astype(np.float32)
    found = net(X.reshape(1000, -1).astype(np.float64))
    expected = run_onnx(path, X)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", GRAPHS)
def test_shipped_graphs_classify_their_data(name: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = getattr(datasets, f"load_{name.partition('_')[0]}")(return_X_y=True)
    columns = {"iris_petals_leaky": [2, 3], "wine_three_residual": [0, 6, 9]}.get(name)
    X = X if columns is None else X[:, columns]
    assert (pf.read_network(DATA / f"{name}.onnx")(X).argmax(axis=1) == y).mean() > 0.95
