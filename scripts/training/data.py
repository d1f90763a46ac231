"""Train the networks in ``data/`` on real data and write them: ``python scripts/training/data.py``.

The data sets ship inside scikit-learn; seeds are fixed. Every network is written twice:
``<name>.onnx``, where the normalisation of the inputs stands before the first layer as Sub and
Div nodes the way a training script would export it, and ``<name>.npz``, where it is folded into
the first layer. Both take inputs in the units of the data. With PyTorch installed, one network
is trained there and written by ``torch.onnx`` and ``torch.save``. ``data/README.md`` is written last.

Needs scikit-learn and onnx; PyTorch for the last network (left as it is without it).
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402


@dataclass(frozen=True)
class Task:
    """One network: data, architecture, how it is trained."""

    name: str
    data: str
    columns: tuple[int, ...] | None
    hidden: tuple[int, ...]
    regression: bool = False
    normalise: bool = True
    solver: str = "lbfgs"
    note: str = ""


TASKS = [
    Task("iris_petals", "iris", (2, 3), (16, 16), note="petal length and width in cm; for pictures"),
    Task("iris", "iris", None, (12, 12), note="wide: more neurons than inputs in every layer"),
    Task("wine_bottleneck", "wine", None, (6, 4), note="bottleneck: widths never grow"),
    Task("wine_three", "wine", (0, 6, 9), (16, 16), note="alcohol, flavanoids, colour intensity"),
    Task(
        "diabetes_three",
        "diabetes",
        (2, 3, 8),
        (16, 16),
        True,
        solver="adam",
        note="bmi, blood pressure, s5; one output",
    ),
    Task("breast_cancer", "breast_cancer", None, (8, 5), note="bottleneck; two classes, so one logit"),
    Task(
        "digits_bottleneck", "digits", None, (16, 10), normalise=False, note="bottleneck; 8 x 8 images, values 0 to 16"
    ),
]
TORCH = "iris_torch"


def load(task: Task) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Inputs (float32 values), targets, names of the inputs."""
    from sklearn import datasets

    loader: Callable[[], Any] = getattr(datasets, f"load_{task.data}")
    bunch = datasets.load_diabetes(scaled=False) if task.data == "diabetes" else loader()
    columns = list(range(bunch.data.shape[1])) if task.columns is None else list(task.columns)
    names = [str(bunch.feature_names[i]) for i in columns]
    return np.asarray(bunch.data)[:, columns].astype(np.float32).astype(np.float64), bunch.target, names


def constants(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, rounded to three digits as one would write them down."""

    def tidy(values: np.ndarray) -> np.ndarray:
        return np.array([np.float32(f"{v:.3g}") for v in values])

    return tidy(X.mean(axis=0)), tidy(X.std(axis=0))


def train(task: Task) -> tuple[Any, np.ndarray | None, np.ndarray | None, str]:
    """(estimator on normalised inputs, mean, deviation, score on held-out data)."""
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    X, y, _ = load(task)
    mean, deviation = constants(X) if task.normalise else (None, None)
    Z = X if mean is None else (X - mean) / deviation
    target = (y - y.mean()) / y.std() if task.regression else y
    stratify = None if task.regression else y
    Z1, Z2, t1, t2 = train_test_split(Z, target, test_size=0.25, random_state=0, stratify=stratify)
    kind = MLPRegressor if task.regression else MLPClassifier
    model = kind(hidden_layer_sizes=task.hidden, solver=task.solver, alpha=1e-2, max_iter=400, random_state=0)
    if task.solver == "adam":
        model.set_params(early_stopping=True, learning_rate_init=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 400 steps may not converge; the score is what counts
        model.fit(Z1, t1)
    score = model.score(Z2, t2)
    if task.regression:  # outputs in the units of the data
        model.coefs_[-1] = model.coefs_[-1] * y.std()
        model.intercepts_[-1] = model.intercepts_[-1] * y.std() + y.mean()
    return model, mean, deviation, f"{'R²' if task.regression else 'accuracy'} {score:.2f}"


def write_onnx(path: Path, model: Any, mean: np.ndarray | None, deviation: np.ndarray | None) -> None:
    """Sub, Div, then MatMul + Add or Gemm, as exporters write; float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, initializers = [], []

    def constant(name: str, values: np.ndarray) -> str:
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
        return name

    at = "input"
    if mean is not None and deviation is not None:
        nodes.append(helper.make_node("Sub", [at, constant("mean", mean)], ["centred"], name="centre"))
        nodes.append(helper.make_node("Div", ["centred", constant("deviation", deviation)], ["scaled"], name="scale"))
        at = "scaled"
    last = len(model.coefs_) - 1
    for i, (w, b) in enumerate(zip(model.coefs_, model.intercepts_)):
        out = "logits" if i == last else f"z{i}"
        if i % 2 == 0:
            nodes.append(helper.make_node("MatMul", [at, constant(f"W{i}", w)], [f"m{i}"], name=f"matmul{i}"))
            nodes.append(helper.make_node("Add", [constant(f"b{i}", b), f"m{i}"], [out], name=f"add{i}"))
        else:
            inputs = [at, constant(f"W{i}", w.T), constant(f"b{i}", b)]
            nodes.append(helper.make_node("Gemm", inputs, [out], name=f"gemm{i}", transB=1))
        if i < last:
            nodes.append(helper.make_node("Relu", [out], [f"y{i}"], name=f"relu{i}"))
            at = f"y{i}"
    activation = {"softmax": "Softmax", "logistic": "Sigmoid"}.get(model.out_activation_)
    result = "logits"
    if activation:
        nodes.append(helper.make_node(activation, ["logits"], ["probabilities"], name="head"))
        result = "probabilities"
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", model.coefs_[0].shape[0]])],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, ["batch", model.coefs_[-1].shape[1]])],
        initializers,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="train_data.py")
    proto.ir_version = 8
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def train_torch(folder: Path) -> str | None:
    """4-12-12-3 with batch normalisation on iris; written by torch's own exporters."""
    try:
        import torch
    except ImportError:
        return None
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split

    torch.manual_seed(0)
    torch.set_num_threads(1)
    X, y = load_iris(return_X_y=True)
    X1, X2, y1, y2 = train_test_split(X.astype(np.float32), y, test_size=0.25, random_state=0, stratify=y)
    module = torch.nn.Sequential(
        torch.nn.Linear(4, 12),
        torch.nn.BatchNorm1d(12),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(12, 12),
        torch.nn.ReLU(),
        torch.nn.Linear(12, 3),
    )
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    loss = torch.nn.CrossEntropyLoss()
    inputs, targets = torch.tensor(X1), torch.tensor(y1)
    for _ in range(300):
        optimiser.zero_grad()
        loss(module(inputs), targets).backward()
        optimiser.step()
    module.eval()
    with torch.no_grad():
        accuracy = float((module(torch.tensor(X2)).argmax(1).numpy() == y2).mean())
    torch.save(module.state_dict(), folder / f"{TORCH}.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(1, 4),),
            str(folder / f"{TORCH}.onnx"),
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,
        )
    return f"accuracy {accuracy:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data")
    folder = parser.parse_args().folder
    folder.mkdir(exist_ok=True)
    rows = []
    for task in TASKS:
        model, mean, deviation, score = train(task)
        write_onnx(folder / f"{task.name}.onnx", model, mean, deviation)
        net = pf.read_network(folder / f"{task.name}.onnx")
        net.save(folder / f"{task.name}.npz")
        widths = "-".join(map(str, net.architecture))
        head = net.source["head"] or "none"
        rows.append((f"`{task.name}.onnx`, `.npz`", widths, task.data, score, head, task.note))
        print(f"{task.name:20s} {widths:12s} {score}")
    score = train_torch(folder)
    if score is not None:
        note = "batch normalisation and dropout; written by `torch.onnx.export` and `torch.save(state_dict)`"
        rows.append((f"`{TORCH}.onnx`, `.pt`", "4-12-12-3", "iris", score, "none", note))
        print(f"{TORCH:20s} 4-12-12-3    {score}")
        (folder / "README.md").write_text(readme(rows))


def readme(rows: list[tuple[str, ...]]) -> str:
    """The table of what is there."""
    lines = [
        "# Small networks trained on real data",
        "",
        "Written by `python scripts/training/data.py` (fixed seeds; scikit-learn's own data sets; MLPs, a quarter",
        "of the data held out). Inputs and outputs are in the units of the data. The `.onnx` files hold float32 and normalise the",
        "inputs by `Sub` and `Div` nodes before the first layer (`digits_bottleneck` does not normalise); the `.npz` files hold the",
        "same networks as `polyfiber.read_network` reads them, the normalisation folded into the first layer.",
        "",
        "| files | architecture | data | held out | head in the ONNX file | |",
        "|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += [
        "",
        "Beyond the ReLU chain, float32, inputs in the units of the data, trained and exported by `python scripts/training/graphs.py`",
        "(fixed seeds, a quarter of the data held out):",
        "",
        "| file | gates | data | held out | |",
        "|---|---|---|---|---|",
        "| `digits_cnn.onnx` | 768 | digits | accuracy 0.98 | Conv, Relu, MaxPool, twice, Gemm; 8 x 8 images, values 0 to 16 |",
        "| `digits_residual.onnx` | 640 | digits | accuracy 0.98 | strided Conv, two residual blocks, AveragePool, Gemm |",
        "| `iris_petals_leaky.onnx` | 24 | iris | accuracy 1.00 | LeakyRelu; petal length and width in cm; small enough for its whole complex |",
        "| `wine_three_residual.onnx` | 24 | wine | accuracy 0.98 | a residual block; alcohol, flavanoids, colour intensity; small enough for its whole complex |",
        "",
        "`torus_distance.onnx` (3-24-24-1) is the signed distance of a torus, fitted by `python scripts/signed_distance.py --train`.",
        "",
        "`exporters/` holds networks on iris as Keras 3, `torch.onnx` (dynamo) and skl2onnx write them, made by",
        "`python scripts/training/export_data.py`; `tests/golden/exporters.json` has what those libraries compute from them.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
