"""State dicts: `.pt` read without torch, safetensors, mappings; and modules where torch is installed."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError, InputError, ShapeError, UnsupportedLayerError
from polyfiber.network.readers.pt import interpret

DATA = Path(__file__).resolve().parents[3] / "data"


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


# ---- order and names ------------------------------------------------------------------------
def test_registration_order_of_a_mapping() -> None:
    net = pf.from_torch(state(2, 3, 3, 3, 1, names="net.{}"))
    assert net.architecture == (2, 3, 3, 3, 1)
    assert net.source["dtype"] == "float32"
    assert "registration" in net.source["notes"][0]


def test_numbers_in_names_are_sorted_as_numbers(tmp_path: Path) -> None:
    tensors = state(*[3] * 13, names="layers.{}")
    shuffled = {k: tensors[k] for k in sorted(tensors)}  # "layers.10" before "layers.2"
    net = read(tmp_path, safetensors(shuffled))
    for i in range(12):
        np.testing.assert_array_equal(net.weights[i], tensors[f"layers.{2 * i}.weight"].astype(np.float64))


def test_shapes_give_the_order_when_they_admit_one(tmp_path: Path) -> None:
    a, b, c = (state(*w, names=n) for w, n in [((2, 5), "inner"), ((5, 4), "body"), ((4, 1), "answer")])
    net = read(tmp_path, safetensors({**c, **a, **b}))
    assert net.architecture == (2, 5, 4, 1)
    assert "shapes" in net.source["notes"][0]


def test_an_unknown_order_is_refused(tmp_path: Path) -> None:
    tensors = {**state(3, 3, names="inner"), **state(3, 3, names="body"), **state(3, 1, names="answer")}
    with pytest.raises(InputError, match="order of the layers is not known"):
        read(tmp_path, safetensors(tensors))
    many = {k: v for i in range(40) for k, v in state(3, 3, names=f"{'a' * i}x").items()}
    with pytest.raises(InputError, match="order of the layers is not known"):
        read(tmp_path, safetensors(many))


def test_shapes_that_do_not_chain() -> None:
    with pytest.raises(ShapeError, match="do not chain"):
        pf.from_torch({**state(2, 3, names="0"), **state(4, 1, names="2")})


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"1.weight": np.ones((3, 2, 3, 3))}, "convolution"),
        ({"1.weight": np.ones(1)}, "PReLU"),
        ({"1.weight": np.ones(3), "1.bias": np.ones(3)}, "LayerNorm"),
        ({"1.in_proj_weight": np.ones((3, 3))}, "in_proj_weight"),
        ({"1.q_proj.weight": np.ones((3, 3))}, "q_proj"),
        ({"embed.weight": np.ones((3, 3))}, "embed"),
        ({"norm.weight": np.ones(3), "norm.running_mean": np.ones(3), "norm.running_var": np.ones(3)}, "norm"),
    ],
)
def test_other_layers_are_refused(extra: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=message):
        pf.from_torch({**state(2, 3, 1), **extra})


def test_batch_normalisation_before_and_after_the_relu() -> None:
    rng = np.random.default_rng(0)
    for index in (1, 2):  # Linear, BN, ReLU, Linear / Linear, ReLU, BN, Linear
        tensors = state(2, 3, 1, step=3)
        statistics = {
            f"{index}.weight": rng.standard_normal(3),
            f"{index}.bias": rng.standard_normal(3),
            f"{index}.running_mean": rng.standard_normal(3),
            f"{index}.running_var": rng.uniform(0.1, 2, 3),
            f"{index}.num_batches_tracked": np.array(7),
        }
        net = pf.from_torch({**tensors, **statistics})
        gamma, beta, mean, variance = (v for v in list(statistics.values())[:4])
        X = rng.standard_normal((20, 2))

        def norm(Z: np.ndarray, g: Any = gamma, b: Any = beta, m: Any = mean, v: Any = variance) -> np.ndarray:
            return np.asarray(g * (Z - m) / np.sqrt(v + 1e-5) + b)

        Z = X @ tensors["0.weight"].T.astype(float) + tensors["0.bias"]
        Y = np.maximum(norm(Z), 0) if index == 1 else norm(np.maximum(Z, 0))
        np.testing.assert_allclose(net(X), Y @ tensors["3.weight"].T.astype(float) + tensors["3.bias"], rtol=1e-10)
        assert any("1e-05 is assumed" in note for note in net.source["notes"])


def test_neighbours_are_noted() -> None:
    net = pf.from_torch(state(2, 3, 1, names="layers.{}", step=1))
    assert any("neighbours" in note for note in net.source["notes"])
    assert not any("neighbours" in note for note in pf.from_torch(state(2, 3, 1)).source["notes"])


def test_pruning_masks() -> None:
    tensors = state(2, 3, 1)
    mask = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    original = tensors.pop("0.weight")
    net = pf.from_torch({"0.weight_orig": original, "0.weight_mask": mask, **tensors})
    np.testing.assert_array_equal(net.weights[0], (original * mask).astype(np.float64))


# ---- safetensors ----------------------------------------------------------------------------
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


# ---- .pt without torch ----------------------------------------------------------------------
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


# ---- modules --------------------------------------------------------------------------------
def test_things_that_are_no_module() -> None:
    for thing in (3, None, SimpleNamespace(), [1.0]):
        with pytest.raises(InputError, match="expected a torch module or a state dict"):
            pf.from_torch(thing)


@pytest.mark.torch
class TestTorch:
    @pytest.fixture
    def torch(self) -> Any:
        torch = pytest.importorskip("torch")
        torch.manual_seed(0)
        return torch

    def compare(self, torch: Any, module: Any, net: pf.ReLUNetwork, atol: float = 1e-5) -> None:
        module.eval()
        X = torch.randn(30, net.architecture[0], generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = module(X).numpy()
        np.testing.assert_allclose(net(X.numpy()), expected, atol=atol, rtol=1e-5)

    def sequential(self, torch: Any) -> Any:
        nn = torch.nn
        module = nn.Sequential(
            nn.Flatten(),
            nn.Linear(3, 6),
            nn.BatchNorm1d(6, eps=1e-2),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(inplace=True)),
            nn.Linear(5, 2),
        )
        with torch.no_grad():
            module[2].running_mean += torch.randn(6)
            module[2].running_var *= 3
        return module

    def test_sequential(self, torch: Any) -> None:
        module = self.sequential(torch)
        net = pf.from_torch(module)
        assert module.training, "the module is left as it was"
        assert net.architecture == (3, 6, 5, 2)
        assert net.source["dtype"] == "float32"
        self.compare(torch, module, net)

    def test_normalisation_first(self, torch: Any) -> None:
        module = torch.nn.Sequential(
            torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)
        )
        self.compare(torch, module, pf.from_torch(module))

    def test_traced_forward(self, torch: Any) -> None:
        class Net(torch.nn.Module):  # type: ignore[name-defined,misc]
            def __init__(self) -> None:
                super().__init__()
                self.out = torch.nn.Linear(4, 2)  # registered before what comes first
                self.one = torch.nn.Linear(3, 4)
                self.two = torch.nn.Linear(4, 4)

            def forward(self, x: Any) -> Any:
                x = x.view(x.size(0), -1)
                x = torch.relu(self.one(x))
                x = torch.nn.functional.relu(self.two(x))
                return self.out(x)

        module = Net()
        self.compare(torch, module, pf.from_torch(module))

    def test_arithmetic_with_buffers(self, torch: Any) -> None:
        class Net(torch.nn.Module):  # type: ignore[name-defined,misc]
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("mean", torch.randn(3))
                self.register_buffer("deviation", torch.rand(1, 3) + 0.5)
                self.body = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))

            def forward(self, x: Any) -> Any:
                return 2 - 3.5 * self.body(-((x - self.mean) / self.deviation) + 1)

        module = Net()
        net = pf.from_torch(module)
        self.compare(torch, module, net)
        assert [r["layer"] for r in net.source["folding"]] == [1, 2]
        with torch.no_grad():
            module.deviation[0, 1] = 0
        with pytest.raises(UnsupportedLayerError, match="by zero"):
            pf.from_torch(module)

    def test_refusals(self, torch: Any) -> None:
        nn = torch.nn

        class Skip(nn.Module):  # type: ignore[name-defined,misc]
            def __init__(self) -> None:
                super().__init__()
                self.one = nn.Linear(3, 3)

            def forward(self, x: Any) -> Any:
                return x + self.one(x)

        class Branch(Skip):
            def forward(self, x: Any) -> Any:
                return self.one(x) if x.sum() > 0 else x

        with pytest.raises(UnsupportedLayerError, match="residual"):
            pf.from_torch(Skip())
        with pytest.raises(InputError, match="cannot be traced"):
            pf.from_torch(Branch())
        for layer in (nn.LeakyReLU(), nn.PReLU(), nn.Tanh(), nn.MaxPool1d(2), nn.Conv1d(1, 1, 1)):
            with pytest.raises(UnsupportedLayerError, match=type(layer).__name__):
                pf.from_torch(nn.Sequential(nn.Linear(2, 2), layer, nn.Linear(2, 1)))
        with pytest.raises(UnsupportedLayerError, match="after"):
            pf.from_torch(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1)))

    def test_head(self, torch: Any) -> None:
        net = pf.from_torch(
            torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1), torch.nn.Sigmoid())
        )
        assert net.source["head"] == "sigmoid"

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    def test_saved_state_dicts(self, torch: Any, tmp_path: Path, dtype: str) -> None:
        module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)).to(
            getattr(torch, dtype)
        )
        for name, thing in [
            ("state.pt", module.state_dict()),
            ("plain.pt", dict(module.state_dict())),
            ("checkpoint.pt", {"epoch": 3, "model_state_dict": module.state_dict(), "lr": 0.1, "tags": ["a", None]}),
            ("parameters.pt", dict(module.named_parameters())),
        ]:
            torch.save(thing, tmp_path / name)
            net = pf.read_network(tmp_path / name)
            assert net == pf.from_torch(module) == pf.from_torch(module.state_dict())
            assert net.source["dtype"] == dtype == pf.from_torch(module).source["dtype"]
            np.testing.assert_array_equal(net.weights[0], module[0].weight.detach().double().numpy())

    def test_views_share_a_storage(self, torch: Any, tmp_path: Path) -> None:
        base = torch.randn(40)
        tensors = {"0.weight": base[3:9].reshape(3, 2), "0.bias": base[20:23], "2.weight": base[:12:4][None, :]}
        torch.save(tensors, tmp_path / "views.pt")
        net = pf.read_network(tmp_path / "views.pt")
        np.testing.assert_array_equal(net.weights[1], tensors["2.weight"].double().numpy())

    def test_what_is_refused(self, torch: Any, tmp_path: Path) -> None:
        module = torch.nn.Sequential(torch.nn.Linear(2, 3))
        torch.save(module, tmp_path / "whole.pt")
        torch.save(module.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
        torch.save(torch.zeros(3), tmp_path / "tensor.pt")
        for name, message in [("whole.pt", "Sequential"), ("old.pt", "pickle"), ("tensor.pt", "one tensor")]:
            with pytest.raises(FileFormatError, match=message):
                pf.read_network(tmp_path / name)
