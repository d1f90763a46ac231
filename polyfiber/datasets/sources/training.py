"""A small trainer: mini-batches, Adam, softmax or square loss; the same bits whatever the threads.

Products go through ``einsum``, which never calls a threaded library, so a network that is trained
on a worker with eight threads equals the one trained on a laptop with the same numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._typing import Array, FloatArray
from ...budget import heed
from ...errors import NumericalError
from ...network.model import ReLUNetwork


@dataclass(frozen=True)
class Task:
    """Data to train on, standardised, split by a fixed seed.

    Attributes
    ----------
    x, x_test : (samples, n0) float64
        Each column has mean 0 and deviation 1 over all samples.
    y, y_test : (samples,) int64 classes, or (samples, k) float64 standardised targets
    outputs : int
        Number of classes or of targets.
    classes : bool
    """

    x: FloatArray
    y: Array
    x_test: FloatArray
    y_test: Array
    outputs: int
    classes: bool


def make_task(x: FloatArray, y: Array, *, test: float = 0.25) -> Task:
    """Standardise, drop constant columns, split."""
    x = np.asarray(x, dtype=np.float64)
    spread = x.std(axis=0)
    x = (x[:, spread > 0] - x[:, spread > 0].mean(axis=0)) / spread[spread > 0]
    classes = y.dtype.kind in "iub"
    if classes:
        _, y = np.unique(y, return_inverse=True)
        outputs = int(y.max()) + 1
    else:
        y = np.asarray(y, dtype=np.float64).reshape(len(x), -1)
        deviation = y.std(axis=0)
        y = (y - y.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        outputs = y.shape[1]
    order = np.random.default_rng(0).permutation(len(x))
    held = int(len(x) * test)
    a, b = order[held:], order[:held]
    return Task(np.ascontiguousarray(x[a]), y[a], np.ascontiguousarray(x[b]), y[b], outputs, classes)


def forward(weights: list[FloatArray], biases: list[FloatArray], x: FloatArray) -> list[FloatArray]:
    """Inputs of every layer, then the output."""
    values = [x]
    for layer, (w, b) in enumerate(zip(weights, biases)):
        z = np.einsum("ij,kj->ik", values[-1], w) + b
        values.append(np.maximum(z, 0.0) if layer < len(weights) - 1 else z)
    return values


def _loss_gradient(task: Task, out: FloatArray, y: Array) -> FloatArray:
    if not task.classes:
        gradient: FloatArray = (out - y) / len(out)
        return gradient
    shifted = np.exp(out - out.max(axis=1, keepdims=True))
    probabilities: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
    probabilities[np.arange(len(y)), y] -= 1.0
    return probabilities / len(y)


def train(
    task: Task,
    hidden: tuple[int, ...],
    rng: np.random.Generator,
    *,
    epochs: int = 50,
    rate: float = 0.01,
    decay: float = 0.0,
    batch: int = 32,
) -> ReLUNetwork:
    """Train a network from N(0, 2/fan-in) weights and zero biases with Adam (0.9, 0.999, 1e-8).

    Raises
    ------
    NumericalError
        The parameters left the finite numbers.
    """
    widths = (task.x.shape[1], *hidden, task.outputs)
    weights = [rng.standard_normal((m, n)) * (2 / n) ** 0.5 for n, m in zip(widths[:-1], widths[1:])]
    biases = [np.zeros(m) for m in widths[1:]]
    parts = [part for both in zip(weights, biases) for part in both]
    first = [np.zeros_like(p) for p in parts]
    second = [np.zeros_like(p) for p in parts]
    step = 0
    for _ in range(epochs):
        heed("training")
        order = rng.permutation(len(task.x))
        for at in range(0, len(order), batch):
            chosen = order[at : at + batch]
            values = forward(weights, biases, task.x[chosen])
            delta = _loss_gradient(task, values[-1], task.y[chosen])
            gradients: list[FloatArray] = []
            for layer in range(len(weights) - 1, -1, -1):
                grad = np.einsum("ki,kj->ij", delta, values[layer]) + decay * weights[layer]
                gradients[:0] = [grad, delta.sum(axis=0)]
                if layer:
                    delta = np.einsum("ki,ij->kj", delta, weights[layer]) * (values[layer] > 0)
            step += 1
            scale = rate * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
            for p, g, m, v in zip(parts, gradients, first, second):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                p -= scale * m / (np.sqrt(v) + 1e-8)
    if not all(np.isfinite(p).all() for p in parts):
        raise NumericalError(f"training at rate {rate:g} left the finite numbers; choose a smaller rate")
    return ReLUNetwork(weights, biases)


def score(task: Task, net: ReLUNetwork) -> float:
    """Accuracy, or R², on the held-out samples."""
    out = forward(list(net.weights), list(net.biases), task.x_test)[-1]
    if task.classes:
        return float(np.mean(out.argmax(axis=1) == task.y_test))
    return float(1 - np.sum((out - task.y_test) ** 2) / np.sum((task.y_test - task.y_test.mean(axis=0)) ** 2))
