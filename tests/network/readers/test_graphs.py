"""Modules of torch and configurations of Keras as graphs, against what those libraries compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.network.readers.graphs.builder import GraphBuilder

ROOT = Path(__file__).resolve().parents[3]


def agree(net: Any, module: Any, shape: tuple[int, ...], torch: Any, points: int = 60) -> None:
    x = torch.randn(points, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module.eval()(x).reshape(points, -1).numpy()
    found = net(x.reshape(points, -1).numpy().astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5 * max(1.0, np.abs(expected).max()))
    assert isinstance(net, pf.ReLUNetwork) or net.input_shape == shape


def modules(torch: Any) -> dict[str, tuple[Any, tuple[int, ...]]]:
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(0)

    class Residual(nn.Module):  # type: ignore[misc]
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.a, self.b = (
                nn.Conv2d(channels, channels, 3, padding="same"),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
            self.n = nn.BatchNorm2d(channels)
            self.n.running_mean.uniform_(-1, 1)
            self.n.running_var.uniform_(0.5, 2)

        def forward(self, x: Any) -> Any:
            return F.relu(x + self.b(F.leaky_relu(self.n(self.a(x)), 0.2)))

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2, stride=1, padding=1))
            self.blocks = nn.Sequential(Residual(4), Residual(4))
            self.head = nn.Linear(4, 5)

        def forward(self, x: Any) -> Any:
            y = self.blocks(self.stem(x))
            y = F.adaptive_avg_pool2d(y, 1).view(x.size(0), -1)
            return self.head(y)

    class Shapes(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("shift", torch.arange(6.0) / 7)
            self.lin = nn.Linear(6, 6)

        def forward(self, x: Any) -> Any:
            a, b = torch.chunk(self.lin(x - self.shift) * 2.0, 2, dim=1)
            c = torch.maximum(a, b).abs() + torch.clamp(b, -0.5, 0.75)
            d = torch.cat([c, -a, b[:, 1:]], dim=1)
            e = d.unsqueeze(1).permute(0, 2, 1).transpose(1, 2).reshape(x.shape[0], -1)
            return torch.stack([e.mean(dim=1), e.amax(dim=1), F.hardtanh(e).sum(1), 1.0 - e[:, 0]], dim=1)

    return {
        "residual": (Net(), (1, 11, 9)),
        "shapes": (Shapes(), (6,)),
        "units": (
            nn.Sequential(
                nn.Conv2d(2, 4, (3, 2), groups=2, dilation=(1, 2), padding=(1, 0)), nn.PReLU(4), nn.AvgPool2d(2, padding=1),
                nn.ConvTranspose2d(4, 3, 3, stride=2, output_padding=1), nn.ReLU6(), nn.ZeroPad2d((1, 0, 2, 1)), nn.Hardtanh(-0.1, 0.4),
                nn.AvgPool2d(3, 2, ceil_mode=True), nn.Flatten(), nn.LazyLinear(4), nn.LeakyReLU(0.3), nn.Linear(4, 2),
            ),
            (2, 6, 7),
        ),
        "one axis": (
            nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(1), nn.Linear(9, 2), nn.Softmax(1)),
            (2, 9),
        ),
    }  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("name", ["residual", "shapes", "units", "one axis"])
def test_torch_modules(name: str) -> None:
    torch = pytest.importorskip("torch")
    module, shape = modules(torch)[name]
    module.eval()(torch.zeros(1, *shape))  # lazy layers
    net = pf.from_torch(module, input_shape=shape)
    assert net.source["format"] == "torch"
    if name == "one axis":
        assert net.source["head"] == "softmax"
        module = module[:-1]
    agree(net, module, shape, torch)


@pytest.mark.torch
def test_torch_relus_move_behind_maxima() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2))
    net = pf.from_torch(module, input_shape=(1, 6, 6))
    assert net.n_hidden == 2 * 4 * (3 + 1)
    agree(net, module, (1, 6, 6), torch)


@pytest.mark.torch
def test_torch_refusals_name_the_layer() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    with pytest.raises(pf.errors.UnsupportedLayerError, match=r"1 is a Tanh.*supported"):
        pf.from_torch(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), input_shape=(2,))
    with pytest.raises(pf.errors.InputError, match="input_shape"):
        pf.from_torch(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()))
    with pytest.raises(pf.errors.InputError, match="cannot be traced"):
        pf.from_torch(nn.Sequential(nn.Linear(2, 2)), input_shape=(3,))

    class Product(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x * x

    with pytest.raises(pf.errors.UnsupportedLayerError, match="not piecewise linear"):
        pf.from_torch(Product(), input_shape=(2,))


def forwards(torch: Any, forward: Any) -> Any:
    class Net(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.relu = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4), torch.nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            return forward(self, x)

    torch.manual_seed(1)
    return Net()


def preactivated(s: Any, x: Any) -> Any:
    x = s.a(x)
    return s.b(s.relu(x)) + x


def scaled_statement(s: Any, x: Any) -> Any:
    h = s.a(x)
    h.mul_(2)
    s.relu(h.view(2, 2))
    return s.b(h)


def part(s: Any, x: Any) -> Any:
    h = s.a(x)
    h[:, :2].relu_()
    return s.b(h)


def hidden(s: Any, x: Any) -> Any:
    h = g = s.a(x)
    g += 1
    return s.b(h)


@pytest.mark.torch
def test_torch_values_changed_in_place() -> None:
    torch = pytest.importorskip("torch")
    for forward in (preactivated, scaled_statement):
        module = forwards(torch, forward)
        agree(pf.from_torch(module, input_shape=(4,)), module, (4,), torch, points=1)
    with pytest.raises(pf.errors.UnsupportedLayerError, match=r"relu_ changes values in place.*other parts"):
        pf.from_torch(forwards(torch, part), input_shape=(4,))
    with pytest.raises(pf.errors.InputError, match="not what its trace shows"):
        pf.from_torch(forwards(torch, hidden), input_shape=(4,))


@pytest.mark.torch
def test_torch_outputs_that_share_their_logits() -> None:
    torch = pytest.importorskip("torch")

    def twice(s: Any, x: Any) -> Any:
        h = s.a(x)
        return h, torch.sigmoid(h), torch.softmax(h, 1)

    net = pf.from_torch(forwards(torch, twice), input_shape=(4,))
    assert net.source["head"] is None
    assert any("of the same logits" in note for note in net.source["notes"])


@pytest.mark.torch
def test_torch_hooks_and_dropout_that_stays_on_are_refused() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    module[1].eval()
    handle = module[0].register_forward_pre_hook(lambda m, x: (2 * x[0],))
    functional = forwards(torch, lambda s, x: s.b(torch.nn.functional.dropout(s.relu(s.a(x)))))
    for shape in (None, (4,)):
        with pytest.raises(pf.errors.UnsupportedLayerError, match=r"0 \(Linear\) carries a forward hook"):
            pf.from_torch(module, input_shape=shape)
        with pytest.raises(pf.errors.UnsupportedLayerError, match=r"dropout is on.*self\.training"):
            pf.from_torch(functional, input_shape=shape)
    handle.remove()
    agree(pf.from_torch(module), module.train(), (4,), torch)
    module.train()[1].eval()
    pf.from_torch(module, input_shape=(4,))
    assert [m.training for m in module] == [True, False, True], "each part keeps its mode"


def test_builder_makes_what_the_onnx_reader_reads() -> None:
    g = GraphBuilder([1, 4, 4])
    kernel = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3) / 9
    y = g.add("Conv", [g.input, g.constant(kernel)], name="conv")
    net = g.network([g.reshape(g.add("Abs", [y]), [1, 4])], {"format": "test"})
    assert isinstance(net, pf.PiecewiseLinearNetwork)
    assert net.input_shape == (1, 4, 4)
    x = np.random.default_rng(0).standard_normal(16)
    patches = [abs((x.reshape(4, 4)[i : i + 3, j : j + 3] * kernel[0, 0]).sum()) for i in (0, 1) for j in (0, 1)]
    np.testing.assert_allclose(net(x), patches, atol=1e-12)
    with pytest.raises(pf.errors.InputError, match="positive"):
        GraphBuilder([0])


GOLDEN = ROOT / "tests" / "golden" / "keras_graphs.json"
FILES = sorted((ROOT / "data" / "exporters").glob("keras_cnn*")) + sorted(
    (ROOT / "data" / "exporters").glob("keras_residual*")
)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_keras_files(path: Path) -> None:
    truth = json.loads(GOLDEN.read_text())[path.stem]
    net = pf.read_network(path)
    assert isinstance(net, pf.PiecewiseLinearNetwork)
    assert list(net.input_shape) == truth["input_shape"]
    X = np.array(truth["inputs"])
    np.testing.assert_allclose(net(X), np.array(truth["outputs"]), rtol=1e-4, atol=1e-4)


def test_keras_files_are_there() -> None:
    assert len(FILES) == 4
