"""scikit-learn estimators by attribute, against their own predictions."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, UnsupportedLayerError


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4)) * [1, 20, 0.1, 3] + [5, 0, 1, -2]
    return X, (X[:, 0] + X[:, 1] / 20 > 5).astype(int) + (X[:, 3] > 0)


def fit(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)


def test_classifiers_give_logits(data: tuple[np.ndarray, np.ndarray]) -> None:
    mlp = pytest.importorskip("sklearn.neural_network")
    X, y = data
    model = fit(mlp.MLPClassifier((6, 5), max_iter=20, random_state=0), X, y)
    net = pf.from_sklearn(model)
    assert net.architecture == (4, 6, 5, 3)
    assert net.source["head"] == "softmax"
    Z = net(X)
    np.testing.assert_allclose(np.exp(Z) / np.exp(Z).sum(1, keepdims=True), model.predict_proba(X), rtol=1e-9)
    binary = fit(mlp.MLPClassifier((6,), max_iter=20, random_state=0), X, y > 0)
    net = pf.from_sklearn(binary)
    assert net.source["head"] == "sigmoid"
    np.testing.assert_allclose(1 / (1 + np.exp(-net(X)[:, 0])), binary.predict_proba(X)[:, 1], rtol=1e-9)


def test_regressors(data: tuple[np.ndarray, np.ndarray]) -> None:
    mlp = pytest.importorskip("sklearn.neural_network")
    X, y = data
    for activation, architecture in [("relu", (4, 6, 5, 1)), ("identity", (4, 1))]:
        model = mlp.MLPRegressor(hidden_layer_sizes=(6, 5), activation=activation, max_iter=20, random_state=0)
        model = fit(model, X, y)
        net = pf.from_sklearn(model)
        assert net.architecture == architecture
        assert net.source["head"] is None
        np.testing.assert_allclose(net(X)[:, 0], model.predict(X), rtol=1e-9)


@pytest.mark.parametrize("scaler", ["StandardScaler", "MinMaxScaler", "MaxAbsScaler"])
def test_pipelines_fold_the_scaler(data: tuple[np.ndarray, np.ndarray], scaler: str) -> None:
    mlp = pytest.importorskip("sklearn.neural_network")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    pipeline = pytest.importorskip("sklearn.pipeline")
    X, y = data
    step = getattr(preprocessing, scaler)()
    model = mlp.MLPRegressor(hidden_layer_sizes=(6,), max_iter=20, random_state=0)
    model = fit(pipeline.make_pipeline(step, "passthrough", model), X, y)
    net = pf.from_sklearn(model)
    np.testing.assert_allclose(net(X)[:, 0], model.predict(X), rtol=1e-8)
    assert net.source["folding"][0]["operations"][0] == scaler


def test_refusals() -> None:
    with pytest.raises(InputError, match="fitted"):
        pf.from_sklearn(SimpleNamespace())
    coefs = {"coefs_": [np.ones((2, 3)), np.ones((3, 1))], "intercepts_": [np.ones(3), np.ones(1)]}
    with pytest.raises(UnsupportedLayerError, match="tanh"):
        pf.from_sklearn(SimpleNamespace(**coefs, activation="tanh", out_activation_="identity"))
    pca = type("PCA", (), {})()
    with pytest.raises(UnsupportedLayerError, match="PCA"):
        pf.from_sklearn(SimpleNamespace(steps=[("p", pca), ("m", SimpleNamespace(**coefs, activation="relu"))]))
    coefs["coefs_"][0][1, 1] = np.nan
    with pytest.raises(InputError, match="nan"):
        pf.from_sklearn(SimpleNamespace(**coefs, activation="relu", out_activation_="identity"))
