"""Train the convolutional, residual and leaky networks in ``data/`` and write them: ``python scripts/training/graphs.py``.

The data sets ship inside scikit-learn; seeds are fixed. Weights are trained by PyTorch and written as ONNX graphs by
``torch.onnx.export``; normalisations of the inputs are nodes of the graph, so that every file takes the units of the data.
The table in ``data/README.md`` is written by ``scripts/training/data.py``; this script prints its rows.

Needs scikit-learn, onnx and PyTorch.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 300_000
"""Bytes that a file may have."""


class Scaled(nn.Module):
    """``(x - mean) / deviation``, with constants of three digits as one would write them down."""

    def __init__(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor([float(f"{v:.3g}") for v in values], dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.deviation


class Residual(nn.Module):
    """``relu(x + inner(x))``."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.inner(x))


class Pixels(nn.Module):
    """Grey values 0 to 16 as 0 to 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 16.0


def digits_cnn(_: np.ndarray) -> nn.Module:
    """Two convolutions, each with a ReLU and a maximum over 2 x 2."""
    return nn.Sequential(
        Pixels(), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def _block(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels),
    )  # fmt: skip


def digits_residual(_: np.ndarray) -> nn.Module:
    """A strided convolution, two residual blocks with batch normalisation, means, a dense layer."""
    return nn.Sequential(
        Pixels(), nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        Residual(_block(8)), Residual(_block(8)), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def petals_leaky(X: np.ndarray) -> nn.Module:
    """2-12-12-3 with LeakyReLU."""
    return nn.Sequential(
        Scaled(X.mean(axis=0), X.std(axis=0)),
        nn.Linear(2, 12), nn.LeakyReLU(0.1), nn.Linear(12, 12), nn.LeakyReLU(0.1), nn.Linear(12, 3),
    )  # fmt: skip


def wine_residual(X: np.ndarray) -> nn.Module:
    """3 inputs, 8 ReLUs, a residual block of 8 and 8, 3 outputs."""
    return nn.Sequential(
        Scaled(X.mean(axis=0), X.std(axis=0)),
        nn.Linear(3, 8), nn.ReLU(), Residual(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))), nn.Linear(8, 3),
    )  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One network: data, how it is made, what is said about it."""

    name: str
    data: str
    columns: tuple[int, ...] | None
    shape: tuple[int, ...]
    make: Callable[[np.ndarray], nn.Module]
    epochs: int
    note: str


TASKS = [
    Task("digits_cnn", "digits", None, (1, 8, 8), digits_cnn, 60, "Conv, Relu, MaxPool, twice; 8 x 8 images, values 0 to 16"),
    Task("digits_residual", "digits", None, (1, 8, 8), digits_residual, 60, "strided Conv, two residual blocks, AveragePool"),
    Task("iris_petals_leaky", "iris", (2, 3), (2,), petals_leaky, 400, "LeakyRelu; petal length and width in cm"),
    Task("wine_three_residual", "wine", (0, 6, 9), (3,), wine_residual, 400, "a residual block; alcohol, flavanoids, colour"),
]  # fmt: skip


def load(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (float32, in the shape of the network) and classes."""
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{task.data}")()
    X = np.asarray(bunch.data, dtype=np.float32)
    X = X if task.columns is None else X[:, list(task.columns)]
    return X.reshape(-1, *task.shape), np.asarray(bunch.target)


def train(task: Task) -> tuple[nn.Module, float]:
    """(module in evaluation mode, accuracy on the quarter that was held out)."""
    from sklearn.model_selection import train_test_split

    torch.manual_seed(0)
    X, y = load(task)
    X1, X2, y1, y2 = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y)
    module = task.make(X1)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, task.epochs)
    loss = nn.CrossEntropyLoss()
    inputs, targets = torch.tensor(X1), torch.tensor(y1)
    order = np.random.default_rng(0)
    for _ in range(task.epochs):
        for batch in np.array_split(order.permutation(len(X1)), max(1, len(X1) // 64)):
            optimiser.zero_grad()
            loss(module(inputs[batch]), targets[batch]).backward()
            optimiser.step()
        schedule.step()
    module.eval()
    with torch.no_grad():
        return module, float((module(torch.tensor(X2)).argmax(1).numpy() == y2).mean())


def write(task: Task, module: nn.Module, path: Path) -> None:
    """The module as ONNX with an open batch axis."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(1, *task.shape),),
            str(path),
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    size = path.stat().st_size
    if size > LIMIT:
        raise SystemExit(f"{path} has {size:,} bytes; the limit is {LIMIT:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    for task in TASKS:
        module, accuracy = train(task)
        path = folder / f"{task.name}.onnx"
        write(task, module, path)
        print(
            f"| `{task.name}.onnx` | {task.data} | accuracy {accuracy:.2f} | {path.stat().st_size:,} bytes | {task.note} |"
        )


if __name__ == "__main__":
    main()
