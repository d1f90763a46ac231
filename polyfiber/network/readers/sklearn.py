"""scikit-learn multilayer perceptrons, by attribute; scalers before them are folded."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import InputError, UnsupportedLayerError
from ..folding import Chain
from ..model import ReLUNetwork

_HEADS = {"logistic": "sigmoid", "softmax": "softmax", "identity": None}


def from_sklearn(estimator: Any) -> ReLUNetwork:
    """Network of a fitted ``MLPRegressor`` or ``MLPClassifier``, or of a ``Pipeline`` that ends in one.

    Parameters
    ----------
    estimator : object
        Anything with ``coefs_``, ``intercepts_`` and ``activation`` (relu, or identity: then the
        layers are multiplied out to one affine map), or with ``steps`` whose earlier ones are
        ``StandardScaler``, ``MinMaxScaler`` or ``MaxAbsScaler`` (recognised by attributes).

    Returns
    -------
    ReLUNetwork
        A classifier's outputs are its logits: ``net.source['head']`` is ``'softmax'`` or
        ``'sigmoid'`` (two classes have one logit).

    Raises
    ------
    InputError
        Not fitted, or not such an estimator.
    UnsupportedLayerError
        Another activation, or another step in a pipeline.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import polyfiber as pf
    >>> fitted = SimpleNamespace(coefs_=[[[1.0, -1.0]], [[1.0], [1.0]]], intercepts_=[[0.0, 0.0], [0.0]],
    ...                          activation="relu", out_activation_="identity")
    >>> pf.from_sklearn(fitted)(-3.0 * __import__("numpy").ones((1, 1))).item()
    3.0
    """
    steps = [s for _, s in estimator.steps if s is not None and s != "passthrough"] if _pipeline(estimator) else []
    model = steps.pop() if steps else estimator
    if not (hasattr(model, "coefs_") and hasattr(model, "intercepts_")):
        raise InputError(
            f"found a {type(model).__name__} without coefs_ and intercepts_; "
            "expected a fitted MLPRegressor or MLPClassifier"
        )
    activation = getattr(model, "activation", "relu")
    if activation not in ("relu", "identity"):
        raise UnsupportedLayerError(
            f"activation {activation!r} is not piecewise linear; supported: 'relu', 'identity'", activation=activation
        )
    head = getattr(model, "out_activation_", "identity")
    if head not in _HEADS:
        raise UnsupportedLayerError(f"output activation {head!r}; supported: {', '.join(_HEADS)}", activation=head)
    weights = [np.asarray(w) for w in model.coefs_]
    if not weights or weights[0].ndim != 2:
        raise InputError(f"coefs_ has shapes {[w.shape for w in weights]}; expected matrices (inputs, outputs)")
    width = weights[0].shape[0]
    chain = Chain(width)
    for step in steps:
        _scale(chain, step, width)
    for i, (w, b) in enumerate(zip(weights, model.intercepts_)):
        if i and activation == "relu":
            chain.relu(f"ReLU {i}")
        chain.dense(w.T, np.asarray(b), name=f"coefs_[{i}]")
    if _HEADS[head]:
        chain.finish(str(_HEADS[head]))
    return chain.network({"format": "sklearn", "estimator": type(model).__name__})


def _pipeline(estimator: Any) -> bool:
    steps = getattr(estimator, "steps", None)
    return isinstance(steps, list) and len(steps) > 0 and all(isinstance(s, tuple) and len(s) == 2 for s in steps)


def _scale(chain: Chain, step: Any, width: int) -> None:
    name = type(step).__name__
    if name == "StandardScaler" and hasattr(step, "scale_"):
        if getattr(step, "with_mean", True) and step.mean_ is not None:
            chain.diagonal(shift=-np.asarray(step.mean_), name=name)
        if step.scale_ is not None:
            chain.diagonal(scale=_reciprocals(step.scale_), name=name)
    elif name == "MinMaxScaler" and hasattr(step, "min_"):
        if getattr(step, "clip", False):
            raise UnsupportedLayerError("MinMaxScaler(clip=True) is not affine")
        chain.diagonal(scale=np.asarray(step.scale_), shift=np.asarray(step.min_), name=name)
    elif name == "MaxAbsScaler" and hasattr(step, "scale_"):
        chain.diagonal(scale=_reciprocals(step.scale_), name=name)
    else:
        raise UnsupportedLayerError(
            f"pipeline step {name} is not supported (or not fitted); "
            "supported: StandardScaler, MinMaxScaler, MaxAbsScaler",
            step=name,
        )


def _reciprocals(values: Any) -> Array:
    scale = np.asarray(values, dtype=np.float64)
    if not np.isfinite(scale).all() or (scale == 0).any():
        raise InputError("a scaler has a scale that is zero or not finite")
    return np.array([1 / Fraction(float(v)) for v in scale], dtype=object)
