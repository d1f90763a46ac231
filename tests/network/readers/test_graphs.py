"""Modules of torch and configurations of Keras as graphs, against what those libraries compute."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.network.readers.graphs import keras_layers
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
    with pytest.raises(pf.errors.InputError, match="cannot be run"):
        pf.from_torch(nn.Sequential(nn.Linear(2, 2)), input_shape=(3,))

    class Product(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x * x

    with pytest.raises(pf.errors.UnsupportedLayerError, match="not piecewise linear"):
        pf.from_torch(Product(), input_shape=(2,))


@pytest.mark.torch
def test_torch_several_inputs_are_one_vector() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Two(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.a, self.b = nn.Conv2d(1, 2, 2), nn.Linear(8, 3), nn.Linear(2, 3)
            self.register_buffer("fixed", torch.arange(2.0))

        def forward(self, image: Any, more: Any) -> Any:
            more += 1  # in place: the second input alone changes
            return torch.relu(self.a(self.conv(image).flatten(1)) + self.b(more)), self.fixed, more

    module = Two().eval()
    net = pf.from_torch(module, input_shape=[(1, 3, 3), (2,)])
    assert net.architecture[0] == 11
    image, more = torch.randn(1, 1, 3, 3), torch.randn(1, 2)
    x = np.concatenate([image.numpy().ravel(), more.numpy().ravel()])
    expected = np.concatenate([v.detach().numpy().ravel() for v in module(image, more.clone())])
    np.testing.assert_allclose(net(x), expected, rtol=1e-4, atol=1e-5)
    notes = " ".join(net.source["notes"])
    assert "(1, 3, 3) (9), (2,) (2)" in notes
    assert "does not depend on the input" in notes
    with pytest.raises(pf.errors.InputError, match="a list of shapes"):
        pf.from_torch(module, input_shape=[(1, 3, 3), 2])
    with pytest.raises(pf.errors.InputError, match="list of their shapes"):
        pf.from_torch(module)


def test_keras_transposed_convolutions() -> None:
    """By the definition: what a value adds to its window, cut or continued to the size that Keras gives."""
    rng = np.random.default_rng(0)
    for k, s, pad in itertools.product((1, 2, 3, 4), (1, 2, 3), ("same", "valid")):
        kernel, bias = rng.standard_normal((k, 2, 3)), rng.standard_normal(2)
        x = rng.standard_normal((4, 3))
        full = np.zeros((4 * s + k + s, 2))
        for i in range(4):
            full[i * s : i * s + k] += kernel @ x[i]
        cut = max(0, k - s) // 2 if pad == "same" else 0
        size = 4 * s if pad == "same" else 3 * s + max(k, s)
        config = {"strides": [s], "padding": pad, "batch_input_shape": [None, 4, 3]}
        layer = SimpleNamespace(kind="Conv1DTranspose", config=config, name="t", label="layer 't'")
        arrays = {"kernel": kernel, "bias": bias}
        net = keras_layers.network_of([layer], {}, ["t"], lambda _, names, held=arrays: {n: held[n] for n in names}, {})
        np.testing.assert_allclose(net(x.ravel()).reshape(-1, 2), full[cut : cut + size] + bias, atol=1e-12)


def forwards(torch: Any, forward: Any) -> Any:
    class Net(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.relu = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4), torch.nn.ReLU(inplace=True)
            self.idle = torch.nn.Identity()
            self.register_buffer("count", torch.zeros(()))

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


def alias(s: Any, x: Any) -> Any:
    h = g = s.a(x)
    g += 1
    return s.b(h)


def rare(s: Any, x: Any) -> Any:
    import torch

    h = torch.relu(s.a(x))
    out = h
    out += torch.relu(s.b(h) - 40.0)
    return h - out + h


def rare_behind_identity(s: Any, x: Any) -> Any:
    y = s.a(x)
    z = s.idle(y)
    z -= (y - 50).relu()
    return y * 1.0


def pieces(s: Any, x: Any) -> Any:
    y = s.a(x)
    first, last = y.split([1, 3], 1)
    first.mul_(2)
    last.view(3).clamp_(-50.0, 50.0)
    y.detach().flatten(1)[:, 1:] -= 0.5
    return y.relu()


def written(s: Any, x: Any) -> Any:
    y, z = s.a(x), x.new_zeros(1, 6)
    y[:, 0] = 0.25
    z[:, [1, 4]] = y[:, 2:]
    z[0, ::3] = y[0, :2].relu_()
    return z + y.sum()


def shapes_in_place(s: Any, x: Any) -> Any:
    y = s.a(x)
    z = y.squeeze_(0).view(2, 2)
    z.t_()
    z[0] *= 2
    return y.unsqueeze_(0) + z.reshape(1, 4)


def elsewhere(s: Any, x: Any) -> Any:
    import torch

    y = s.a(x)
    torch.add(y, 1, out=y)
    return torch.relu(y) + x.mul_(2)


IN_PLACE = (
    preactivated,
    scaled_statement,
    part,
    alias,
    rare,
    rare_behind_identity,
    pieces,
    written,
    shapes_in_place,
    elsewhere,
)


@pytest.mark.torch
@pytest.mark.parametrize("forward", IN_PLACE, ids=lambda f: f.__name__)
def test_torch_values_changed_in_place(forward: Any) -> None:
    torch = pytest.importorskip("torch")
    module = forwards(torch, forward).double()
    net = pf.from_torch(module, input_shape=(4,))
    for x in 200 * torch.randn(60, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)):
        with torch.no_grad():
            expected = module(x.clone()).numpy().ravel()
        np.testing.assert_allclose(net(x.numpy().ravel()), expected, atol=1e-9, rtol=1e-9)


def counts(s: Any, x: Any) -> Any:
    s.count += 1
    return s.a(x) * s.count


def branches(s: Any, x: Any) -> Any:
    return s.a(x) if x.sum() > 0 else -s.a(x)


def lists(s: Any, x: Any) -> Any:
    return s.a(x) if x.tolist()[0][0] < 40 else -s.a(x)


def caught(s: Any, x: Any) -> Any:
    try:
        return s.a(x) * float(x[0, 0])
    except Exception:
        return s.a(x)


def chosen(s: Any, x: Any) -> Any:
    return x[:, x[0].argmax()]


def random(s: Any, x: Any) -> Any:
    return s.a(x) + x.new_empty(4).normal_()


def unwritten(s: Any, x: Any) -> Any:
    return s.a(x) + x.new_empty(4)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (counts, "in place"),
        (branches, "control flow"),
        (lists, "reads the numbers"),
        (caught, "control flow"),
        (chosen, "by the input|control flow"),
        (random, "random"),
        (unwritten, "no known operation"),
        (lambda s, x: s.a(x).int() + x, "cut off"),
        (lambda s, x: x.sort()[0], "sort"),
        (lambda s, x: s.a(x).resize_(1, 2), "resize"),
        (lambda s, x: s.a(x).view(s.a.weight.dtype.to_complex()), "another type"),
        (lambda s, x: s.a(x).double().view(x.new_zeros(1, dtype=int).dtype).add(1), "integers"),
        (lambda s, x: s.a(x).tanh(), "tanh"),
        (lambda s, x: x.max(1)[1].float() + x, "by the input"),
    ],
)
def test_torch_what_depends_on_the_numbers_is_refused(forward: Any, message: str) -> None:
    torch = pytest.importorskip("torch")
    module = forwards(torch, forward)
    with pytest.raises(pf.errors.UnsupportedLayerError, match=message):
        pf.from_torch(module, input_shape=(4,))
    assert float(module.count) == 0, "what is refused is not run to its end"


def operations(torch: Any) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Modules and functions beside those of `modules`."""
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(2)
    w, v = torch.randn(4, 3), torch.randn(3)
    conv = nn.Conv2d(2, 4, 3)
    line, image = (4,), (2, 6, 6)
    found: dict[str, tuple[Any, tuple[int, ...]]] = {
        "upsampled": (lambda x: F.interpolate(conv(x), scale_factor=1.3).relu(), image),
        "resized": (lambda x: F.interpolate(conv(x), size=(7, 3), mode="nearest-exact").relu(), image),
        "maxima": (lambda x: torch.cat([x.max(dim=1)[0], torch.max(x, 1).values, x.max().expand(1, 6, 6)]), image),
        "between": (lambda x: torch.maximum(x, torch.minimum(2 * x, torch.tensor(0.1))), line),
        "clamped": (lambda x: x.clamp_min(-0.2).clamp_max(0.5) + torch.clamp(x, max=v[0]), line),
        "alpha": (lambda x: torch.add(x.relu(), x, alpha=-2) + torch.rsub(x, 1, alpha=3), line),
        "products": (lambda x: torch.addmm(v, x, w, beta=0.3, alpha=2).relu() + torch.einsum("bi,ij->bj", x, w), line),
        "stacked": (lambda x: torch.einsum("bcij,cjk->bcik", x, torch.arange(36.0).view(2, 6, 3)), image),
        "slopes": (lambda x: F.prelu(conv(x), v.new_tensor([0.1, -2, 0, 1])), image),
        "uneven": (lambda x: torch.cat([F.adaptive_avg_pool2d(x, (4, 5)), F.adaptive_max_pool2d(x, (4, 5))]), image),
        "pools": (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, divisor_override=5) - F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 5, 8)),
        "indexed": (lambda x: F.max_pool2d(conv(x), 2, return_indices=True)[0], image),
        "backwards": (lambda x: torch.cat(conv(x).chunk(2, 1)[::-1], dim=1).relu(), image),
        "moved": (lambda x: torch.roll(x.flip([2]), 2, 3)[:, [1, 0], ::2, -1].relu(), image),
        "along": (lambda x: F.max_pool1d(x[0], 2, 2, 1) + F.adaptive_avg_pool1d(x[0], 4), image),
        "narrow": (lambda x: F.softshrink(x) + F.threshold(x, 0.1, 0.1) + F.hardsigmoid(4 * x) + F.rrelu(x), line),
        "unshuffled": (nn.Sequential(nn.PixelUnshuffle(2), nn.ChannelShuffle(4), nn.ReLU()), image),
        "upsample": (nn.Sequential(nn.ReflectionPad2d(1), nn.Upsample(scale_factor=(1.5, 2.3)), nn.ReLU()), image),
        "weights": (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), nn.ReLU()), image),
        "summed": (lambda x: x.cumsum(2).relu() + torch.tril(x), image),
    }  # fmt: skip
    for mode in ("reflect", "circular", "replicate"):
        found[mode] = (nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode), nn.ReLU()), image)
    return found


OPERATIONS = [
    "upsampled",
    "resized",
    "maxima",
    "between",
    "clamped",
    "alpha",
    "products",
    "stacked",
    "slopes",
    "uneven",
    "pools",
    "indexed",
    "backwards",
    "moved",
    "along",
    "narrow",
    "unshuffled",
    "upsample",
    "weights",
    "summed",
    "reflect",
    "circular",
    "replicate",
]


@pytest.mark.torch
@pytest.mark.parametrize("name", OPERATIONS)
def test_torch_operations(name: str) -> None:
    torch = pytest.importorskip("torch")
    function, shape = operations(torch)[name]
    module = function if isinstance(function, torch.nn.Module) else forwards(torch, lambda s, x: function(x))
    net = pf.from_torch(module, input_shape=shape)
    module.eval()
    for x in 3 * torch.randn(30, 1, *shape, generator=torch.Generator().manual_seed(0)):
        with torch.no_grad():
            expected = module(x).double().numpy().ravel()
        np.testing.assert_allclose(net(x.numpy().ravel()), expected, atol=1e-4, rtol=1e-4)


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
def test_torch_hooks_and_dropout_that_stays_on() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    module[1].eval()
    handle = module[0].register_forward_pre_hook(lambda m, x: (2 * x[0],))
    functional = forwards(torch, lambda s, x: s.b(torch.nn.functional.dropout(s.relu(s.a(x)))))
    with pytest.raises(pf.errors.UnsupportedLayerError, match=r"0 \(Linear\) carries a forward hook"):
        pf.from_torch(module)
    agree(pf.from_torch(module, input_shape=(4,)), module.eval(), (4,), torch)
    for shape in (None, (4,)):
        with pytest.raises(pf.errors.UnsupportedLayerError, match=r"dropout.* is on.*self\.training"):
            pf.from_torch(functional, input_shape=shape)
    handle.remove()
    agree(pf.from_torch(module), module.train(), (4,), torch)
    module.train()[1].eval()
    pf.from_torch(module, input_shape=(4,))
    assert [m.training for m in module] == [True, False, True], "each part keeps its mode"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules()), "no hook is left"


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


# ---- layers of Keras by their configuration, against numpy ----------------------------------------------------------
class KerasLayer:
    def __init__(self, kind: str, **config: Any) -> None:
        self.kind, self.config, self.name = kind, config, f"{kind}_{id(self)}"

    @property
    def label(self) -> str:
        return f"layer {self.kind}"


def keras_chain(shape: list[int], *layers: KerasLayer, version: str = "3.4", **arrays: Any) -> Any:
    every = [KerasLayer("InputLayer", batch_shape=[None, *shape]), *layers]
    feeding = {b.name: [a.name] for a, b in itertools.pairwise(every)} | {every[0].name: []}
    return keras_layers.network_of(every, feeding, [every[-1].name], lambda layer, names: arrays, {}, version)


@pytest.mark.parametrize(("version", "slope"), [("3.4.1", 1 / 6), ("2.15.0", float(np.float32(0.2)))])
def test_keras_hard_sigmoid_is_that_of_its_version(version: str, slope: float) -> None:
    net = keras_chain([3], KerasLayer("Activation", activation="hard_sigmoid"), version=version)
    x = np.array([-4.0, 0.7, 2.9])
    np.testing.assert_allclose(net(x), np.clip(slope * x + 0.5, 0, 1), rtol=1e-12)
    with pytest.raises(pf.errors.UnsupportedLayerError, match="Keras 2 and 3"):
        keras_chain([3], KerasLayer("Activation", activation="hard_sigmoid"), version="")


def test_keras_activations_that_are_layers() -> None:
    """``Dense(activation=keras.layers.ReLU(6))``; a limit of zero is a limit."""
    x = np.array([-4.0, 0.7, 2.9, 9.0])
    for kind, config, expected in (
        ("ReLU", {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}, np.maximum(x, 0)),
        ("ReLU", {"max_value": 6.0}, np.clip(x, 0, 6)),
        ("ReLU", {"max_value": 0.0}, 0 * x),
        ("ReLU", {"negative_slope": 0.25}, np.where(x > 0, x, x / 4)),
        ("LeakyReLU", {"negative_slope": 0.5}, np.where(x > 0, x, x / 2)),
    ):
        given = {"module": "keras.layers", "class_name": kind, "config": {"name": "r", **config}}
        for layer in (KerasLayer("Activation", activation=given), KerasLayer(kind, **config)):
            np.testing.assert_allclose(keras_chain([4], layer)(x), expected, atol=1e-12)
    given = {"class_name": "ReLU", "config": {"threshold": 1.0}}
    with pytest.raises(pf.errors.UnsupportedLayerError, match=r"its activation ReLU, with threshold 1\.0"):
        keras_chain([4], KerasLayer("Activation", activation=given))


def test_keras_layers_that_move_values() -> None:
    x = np.random.default_rng(0).standard_normal((4, 5, 2))
    relu = KerasLayer("ReLU")
    up = keras_chain([4, 5, 2], KerasLayer("UpSampling2D", size=[2, 3], interpolation="nearest"), relu)
    np.testing.assert_array_equal(up(x.ravel()), np.maximum(x, 0).repeat(2, 0).repeat(3, 1).ravel())
    crop = keras_chain([4, 5, 2], KerasLayer("Cropping2D", cropping=[[1, 0], [2, 1]]), relu)
    np.testing.assert_array_equal(crop(x.ravel()), np.maximum(x, 0)[1:, 2:4].ravel())
    repeated = keras_chain([3], KerasLayer("RepeatVector", n=4), relu)
    np.testing.assert_array_equal(repeated(x.ravel()[:3]), np.tile(np.maximum(x.ravel()[:3], 0), 4))
    with pytest.raises(pf.errors.UnsupportedLayerError, match="interpolates"):
        keras_chain([4, 5, 2], KerasLayer("UpSampling2D", size=2, interpolation="bilinear"))
    with pytest.raises(pf.errors.ShapeError, match="shape"):
        keras_chain([4, 5, 2], KerasLayer("Cropping2D", cropping=3))


def test_keras_same_padding_of_spread_windows() -> None:
    rng = np.random.default_rng(1)
    kernel, x = rng.standard_normal((3, 1, 1)), rng.standard_normal(7)
    conv = KerasLayer("Conv1D", padding="same", dilation_rate=2, strides=1, use_bias=False, activation="relu")
    padded = np.pad(x, 2)
    expected = [max(0.0, sum(kernel[k, 0, 0] * padded[i + 2 * k] for k in range(3))) for i in range(7)]
    np.testing.assert_allclose(keras_chain([7, 1], conv, kernel=kernel)(x), expected, atol=1e-12)
    pool = KerasLayer("MaxPooling1D", padding="same", pool_size=2, strides=3)
    np.testing.assert_array_equal(keras_chain([7, 1], pool)(x), [x[:2].max(), x[3:5].max(), x[6]])
    with pytest.raises(pf.errors.UnsupportedLayerError, match="backends"):
        keras_chain([8, 1], KerasLayer("AveragePooling1D", padding="same", pool_size=3, strides=2))
