"""Neurons whose sign a domain settles: known from certified bounds before anything is enumerated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import words
from .._typing import IntArray, SignArray
from .._values.read_only import closed
from ..domain import Box, Polyhedron
from ..errors import InputError, SolverError
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork
from ..network.relu_form import relu_form
from .relaxation import bounding_box, relaxed

WORTH = 1 << 12
"""Expected vertices below which bounds cost more than they save."""
WORTH_PROGRAMS = 1 << 17
"""The same for a polyhedron that is no box: its bounding box takes two linear programs a coordinate."""
MULTIPLICATIONS = 1 << 32
"""Above so many, back-substitution is left out."""


@closed
@dataclass(frozen=True, eq=False)
class Settled:
    """Signs of hidden neurons that are the same on the whole domain.

    Attributes
    ----------
    signs : (N,) int8
        1 where ``z > 0`` on the whole domain is proved, -1 where ``z < 0`` is, 0 where nothing is.
    method : str
        What proved it: 'interval', 'relaxation' (see `activation_bounds`), or 'none' where nobody asked.
    """

    signs: SignArray
    method: str

    @property
    def active(self) -> IntArray:
        """Neurons that are positive on the whole domain."""
        return np.flatnonzero(self.signs > 0)

    @property
    def inactive(self) -> IntArray:
        """Neurons that are negative on the whole domain."""
        return np.flatnonzero(self.signs < 0)

    def __len__(self) -> int:
        return int((self.signs != 0).sum())

    def __repr__(self) -> str:
        a, i = len(self.active), len(self.inactive)
        return (
            f"Settled({a + i} of {words.count(len(self.signs), 'neuron')}: {a} active, {i} inactive, by {self.method})"
        )


def settle(network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron | None, *, expected: float) -> Settled:
    """Which neurons keep one sign on a domain, as far as cheap bounds tell.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Polyhedron or None
        Unbounded, empty and flat ones settle nothing.
    expected : float
        Vertices that are expected without a domain; where these are few, nothing is computed.

    Notes
    -----
    Back-substituted linear bounds, every rounding paid for: a few milliseconds for hundreds of neurons.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.bounds.fixed_signs import settle
    >>> settle(pf.ReLUNetwork.random((2, 64, 64, 1), rng=0), pf.Box(-0.1, 0.1, dimension=2), expected=1e4)
    Settled(97 of 128 neurons: 50 active, 47 inactive, by relaxation)
    """
    nothing = Settled(np.zeros(network.n_hidden, dtype=np.int8), "none")
    if domain is None or network.n_hidden == 0 or expected < (WORTH if isinstance(domain, Box) else WORTH_PROGRAMS):
        return nothing
    try:
        box = bounding_box(domain)
    except (InputError, SolverError):
        return nothing
    lines = _multiplications(network) <= MULTIPLICATIONS
    work = relaxed(network, box, lines=lines)
    low, high = np.concatenate(work.low[:-1]), np.concatenate(work.high[:-1])
    signs = (low > 0).astype(np.int8) - (high < 0).astype(np.int8)
    return Settled(signs, "relaxation" if lines else "interval")


def _multiplications(network: ReLUNetwork | PiecewiseLinearNetwork) -> int:
    """Of back-substitution: every layer through all layers below it, twice for values and once for magnitudes."""
    if isinstance(network, ReLUNetwork):
        widths = network.architecture
        sizes = [a * b for a, b in zip(widths, widths[1:])]
    else:
        form = relu_form(network)
        widths = (network.n_inputs, *form.widths, network.n_outputs)
        parts = zip(form.bases, form.reads)
        sizes = [base.size + sum(m.shape[0] * m.shape[1] for m in reads.values()) for base, reads in parts]
    return sum(4 * widths[layer] * sum(sizes[: layer - 1]) for layer in range(2, len(widths)))


__all__ = ["Settled", "settle"]
