"""Modules where torch is installed, and things that are none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError, InputError, UnsupportedLayerError


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
