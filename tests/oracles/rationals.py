"""Values of a network in rational arithmetic, one number at a time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


def layers(net: Any, x: Any) -> list[list[Fraction]]:
    """Pre-activations of every layer at one input."""
    y = [Fraction(float(v)) for v in x]
    found = []
    for W, b in zip(net.weights, net.biases):
        z = [sum((Fraction(w) * v for w, v in zip(row, y)), Fraction(c)) for row, c in zip(W.tolist(), b.tolist())]
        found.append(z)
        y = [max(v, Fraction(0)) for v in z]
    return found


def outputs(net: Any, x: Any) -> list[Fraction]:
    """Outputs at one input."""
    return layers(net, x)[-1]


def hidden_values(net: Any, x: Any) -> list[Fraction]:
    """Pre-activations of all hidden neurons at one input."""
    return [v for z in layers(net, x)[:-1] for v in z]
