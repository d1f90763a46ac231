"""Hypothesis strategies; hypothesis is imported when a strategy is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._values.checked import whole
from ..network.model import ReLUNetwork


def integer_networks(
    *, max_inputs: int = 3, max_width: int = 4, max_depth: int = 3, max_abs: int = 2, max_hidden: int = 8
) -> Any:
    """Strategy: networks with small integer weights, mostly degenerate, on which exact answers are cheap.

    Examples
    --------
    >>> from polyfiber.testing import integer_networks
    >>> strategy = integer_networks(max_inputs=2, max_width=3, max_depth=2)
    """
    from hypothesis import strategies as st

    _positive(max_inputs=max_inputs, max_width=max_width, max_depth=max_depth, max_hidden=max_hidden)
    max_abs = whole(max_abs, "max_abs", least=0)

    @st.composite
    def networks(draw: Callable[[Any], Any]) -> ReLUNetwork:
        n0 = draw(st.integers(1, max_inputs))
        depth = draw(st.integers(1, max_depth))
        widths = [n0]
        for layer in range(depth):
            room = max_hidden - sum(widths[1:]) - (depth - layer - 1)
            widths.append(draw(st.integers(1, max(1, min(max_width, room)))))
        widths.append(1)
        entry = st.integers(-max_abs, max_abs)
        weights = [
            [[draw(entry) for _ in range(n_in)] for _ in range(n_out)] for n_in, n_out in zip(widths[:-1], widths[1:])
        ]
        biases = [[draw(entry) for _ in range(n_out)] for n_out in widths[1:]]
        return ReLUNetwork(weights, biases)

    return networks()


def generic_networks(
    *, max_inputs: int = 3, max_width: int = 5, max_depth: int = 5, min_depth: int = 1, max_hidden: int = 14
) -> Any:
    """Strategy: Gaussian networks of 1 to 5 hidden layers, wide, narrow and with bottlenecks.

    Only the seed and the widths are drawn by hypothesis, so that the weights are in general position.

    Examples
    --------
    >>> from polyfiber.testing import generic_networks
    >>> strategy = generic_networks(max_depth=2)
    """
    from hypothesis import strategies as st

    _positive(max_inputs=max_inputs, max_width=max_width, max_depth=max_depth, max_hidden=max_hidden)
    whole(min_depth, "min_depth", least=1, most=max_depth)

    @st.composite
    def networks(draw: Callable[[Any], Any]) -> ReLUNetwork:
        widths = [draw(st.integers(1, max_inputs))]
        depth = draw(st.integers(min_depth, max_depth))
        for layer in range(depth):
            room = max_hidden - sum(widths[1:]) - (depth - layer - 1)
            widths.append(draw(st.integers(1, max(1, min(max_width, room)))))
        outputs = draw(st.integers(1, 2))
        return ReLUNetwork.random((*widths, outputs), rng=draw(st.integers(0, 2**32 - 1)))

    return networks()


def _positive(**limits: int) -> None:
    for name, value in limits.items():
        whole(value, name, least=1)
