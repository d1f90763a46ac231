"""Write ``data/exporters/``: small networks as other libraries export them, with their own outputs.

``python scripts/training/export_data.py [--folder …] [--golden …]``. Needs keras (any backend), torch
with onnx and onnxscript, skl2onnx and scikit-learn; none of them is needed to use or to test polyfiber,
since the files and the outputs of their writers ship. All networks are trained on iris for a
moment with fixed seeds. The golden file holds, for each file, points and what the library that
wrote the file computes there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def iris() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, classes, and eight points to evaluate at."""
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    return X.astype(np.float32), y, X[::20].astype(np.float32)


def record(golden: dict[str, Any], name: str, writer: str, X: np.ndarray, Y: np.ndarray, head: str | None) -> None:
    version = importlib.metadata.version(writer)
    golden[name] = {
        "written_by": f"{writer} {version}",
        "head": head,
        "inputs": [[float(v) for v in row] for row in X.reshape(len(X), -1)],
        "outputs": [[float(v) for v in row] for row in np.asarray(Y, dtype=np.float64).reshape(len(X), -1)],
    }


def write_keras(folder: Path, golden: dict[str, Any]) -> None:
    import keras
    from keras import layers

    X, y, points = iris()
    keras.utils.set_random_seed(0)
    normalise = layers.Normalization()
    normalise.adapt(X)
    sequential = keras.Sequential(
        [
            keras.Input((4,)),
            normalise,
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.1),
            layers.Dense(6, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    sequential.compile(optimizer=keras.optimizers.Adam(0.02), loss="sparse_categorical_crossentropy")
    sequential.fit(X, y, epochs=20, verbose=0)
    entry = keras.Input((2, 2), name="entry")
    at = layers.Flatten(name="flat")(entry)
    at = layers.Rescaling(0.2, offset=-0.5, name="zoom")(at)
    at = layers.Dense(7, activation="relu", name="zeta")(at)
    at = layers.Dense(5, activation="relu", name="alpha")(at)
    functional = keras.Model(entry, layers.Dense(1, activation="sigmoid", name="middle")(at))
    functional.compile(optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy")
    functional.fit(X.reshape(-1, 2, 2), (y > 0).astype(np.float32), epochs=5, verbose=0)
    for name, model, shape, head in [
        ("keras_sequential", sequential, (4,), "softmax"),
        ("keras_functional", functional, (2, 2), "sigmoid"),
    ]:
        Y = np.asarray(model.predict(points.reshape(-1, *shape), verbose=0))
        for suffix in (".keras", ".h5"):
            model.save(folder / f"{name}{suffix}", include_optimizer=False)
            record(golden, f"{name}{suffix}", "keras", points, Y, head)


def write_torch(folder: Path, golden: dict[str, Any]) -> None:
    import onnx
    import torch

    X, y, points = iris()

    class Policy(torch.nn.Module):
        """Normalises by buffers, as control policies do."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor(X.mean(axis=0)))
            self.register_buffer("deviation", torch.tensor(X.std(axis=0)))
            self.hidden = torch.nn.Linear(4, 8)
            self.norm = torch.nn.BatchNorm1d(8)
            self.output = torch.nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            x = (x - self.mean) / self.deviation
            return self.output(torch.relu(self.norm(self.hidden(x.reshape(x.shape[0], -1)))))

    torch.manual_seed(0)
    module = Policy()
    optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(torch.tensor(X)), torch.tensor(y)).backward()
        optimiser.step()
    module.eval()
    with torch.no_grad():
        Y = module(torch.tensor(points)).numpy()
    name = "torch_dynamo.onnx"
    shapes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        module,
        (torch.tensor(points),),
        str(folder / name),
        dynamo=True,
        dynamic_shapes=shapes,
        external_data=False,
        verbose=False,
    )
    # the exporter writes the paths of the source files into the metadata of every node
    proto = onnx.load(folder / name)
    for node in proto.graph.node:
        del node.metadata_props[:]
    onnx.save(proto, folder / name)
    record(golden, name, "torch", points, Y, None)


def write_sklearn(folder: Path, golden: dict[str, Any]) -> None:
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    X, y, points = iris()
    options = {"max_iter": 60, "random_state": 0}
    classes = MLPClassifier(hidden_layer_sizes=(8, 5), **options)
    binary = MLPClassifier(hidden_layer_sizes=(6,), **options)
    models = [
        ("skl2onnx_classifier", make_pipeline(StandardScaler(), classes).fit(X, y), "softmax"),
        ("skl2onnx_binary", binary.fit(X, y > 0), "sigmoid"),
        (
            "skl2onnx_regressor",
            make_pipeline(MinMaxScaler(), MLPRegressor(hidden_layer_sizes=(7,), **options)).fit(X, X[:, 0] * y),
            None,
        ),
    ]
    for name, model, head in models:
        proto = to_onnx(model, X[:1])
        (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())
        Y = model.predict(points) if head is None else model.predict_proba(points)
        record(golden, f"{name}.onnx", "skl2onnx", points, Y[:, 1:] if head == "sigmoid" else Y, head)


def write_keras_graphs(folder: Path, golden: dict[str, Any]) -> None:
    """A CNN as a Sequential, and a residual one with branches as a functional model; random weights, 6 x 5 x 2 inputs."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    cnn = keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="first"),
            layers.MaxPooling2D(2, padding="same"),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.SeparableConv2D(3, 2, padding="same", activation="relu"),
            layers.ZeroPadding2D(((1, 0), (0, 2))),
            layers.AveragePooling2D((2, 1), padding="same"),
            layers.Conv2DTranspose(2, 2, strides=2),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(5, activation="relu"),
            layers.ReLU(max_value=0.7),
            layers.Dense(3),
        ]
    )
    x = keras.Input((6, 5, 2))
    a = layers.Conv2D(3, 3, strides=2, padding="same", activation="relu")(x)
    b = layers.Conv2D(3, 3, padding="same")(a)
    c = layers.ReLU()(layers.Add()([a, b]))
    d = layers.Concatenate()([c, layers.Subtract()([a, c]), layers.Maximum()([a, b])])
    e = layers.Concatenate()(
        [
            layers.GlobalAveragePooling2D()(d),
            layers.GlobalMaxPooling2D()(c),
            layers.Flatten()(layers.Permute((2, 1, 3))(b)),
        ]
    )
    residual = keras.Model(x, layers.Dense(3)(e))
    for name, model in (("keras_cnn", cnn), ("keras_residual", residual)):
        for layer in model.layers:
            layer.set_weights(
                [w + rng.uniform(0.1, 0.5, w.shape) * (rng.random(w.shape) < 0.5) for w in layer.get_weights()]
            )
        for suffix in (".h5", ".keras"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.save(folder / f"{name}{suffix}")
        points = rng.standard_normal((20, 6, 5, 2)).astype(np.float32)
        golden[name] = {
            "written_by": f"keras {importlib.metadata.version('keras')}",
            "input_shape": [6, 5, 2],
            "inputs": [[float(v) for v in row] for row in points.reshape(20, -1)],
            "outputs": [
                [float(v) for v in row] for row in np.asarray(model.predict(points, verbose=0), dtype=np.float64)
            ],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "exporters")
    parser.add_argument("--golden", type=Path, default=ROOT / "tests" / "golden" / "exporters.json")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    options.golden.parent.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)
    golden: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_keras(options.folder, golden)
        write_torch(options.folder, golden)
        write_sklearn(options.folder, golden)
        graphs: dict[str, Any] = {}
        write_keras_graphs(options.folder, graphs)
    options.golden.with_name("keras_graphs.json").write_text(json.dumps(graphs) + "\n")
    options.golden.write_text(json.dumps(golden, indent=1) + "\n")
    for name, entry in golden.items():
        print(f"{name:28s} {entry['written_by']}")


if __name__ == "__main__":
    main()
