"""Equality of two networks by the functions that they share: on all of R^n, at any width and depth, with the bound of
what was left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...budget import Monitor
from ...domain import Polyhedron
from ...errors import NumericalError
from ...network.float_or_rational import products_in_range
from ...network.model import ReLUNetwork
from ..allowance import Allowance
from ..bounds.everywhere import Growth
from .claims import Claims, input_ranges
from .joint import Joint

STRICT = 1e-3
"""Of the tolerance: what forms may differ by, but for rounding."""
ROUNDING = 1e-10
"""What they may always differ by, within the tolerance."""
MOST = 1 << 27
"""Products of widths beyond which it is not begun: seconds in floats."""
MOST_EXACT = 1 << 24
"""The same in rationals."""


@dataclass(frozen=True, eq=False)
class SharedFunctions:
    """Two networks rewritten over one list of functions, with equal outputs.

    Attributes
    ----------
    distance : float
        Largest relative difference of forms that count as one, 0 in rationals.
    allowed : float
    growth : Growth
        Bound of ``|f - g|`` at every input, rounding included.
    bound : (nL, n0 + 1) float64
        The same for each output over ``(|x|, 1)``.
    functions : int
        Functions in the list, beside inputs and 1.
    exact : bool
    claims : Claims
        The matrices: what each neuron of both networks is over the list. `checks.functions.proved_bound` multiplies
        them out in rationals.
    """

    distance: float
    allowed: float
    growth: Growth
    bound: FloatArray = field(repr=False)
    functions: int
    exact: bool
    claims: Claims = field(repr=False)


def work(a: ReLUNetwork, b: ReLUNetwork) -> int:
    """About how many products a comparison takes."""
    total, before = 0, a.architecture[0] + 1
    for l in range(max(len(net.weights) for net in (a, b))):
        wide = sum(net.architecture[l + 1] for net in (a, b) if l < len(net.weights))
        total += wide * before * max(wide, before)
        before += wide
    return total


def by_relations(
    a: ReLUNetwork,
    b: ReLUNetwork,
    *,
    tolerance: float,
    domain: Polyhedron | None = None,
    monitor: Monitor | None = None,
) -> SharedFunctions | None:
    """Prove two networks equal over the functions that they share, or None, which proves nothing.

    Parameters
    ----------
    a, b : ReLUNetwork
        With the same numbers of inputs and outputs; widths and depths may differ.
    tolerance : float
        0: exactly, as rationals. Otherwise forms may differ by a thousandth of it, relatively, or by 1e-10, and what
        that changes is bounded.
    domain : Polyhedron, optional
        Ranges of its inputs, as of a box or an orthant, show signs of some forms; by default all of R^n.

    Notes
    -----
    Sound at any width and depth, complete nowhere: a relation that holds only on what earlier layers reach is not seen. 0.1 s at 6-64-64-4, 1 s in rationals.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.relations.prove import by_relations
    >>> f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, -1.0]]], [[0, 0], [0.0]])          # x = relu(x) - relu(-x)
    >>> g = pf.ReLUNetwork([[[1.0]]], [[0.0]])
    >>> by_relations(f, g, tolerance=0).functions
    1
    """
    if work(a, b) > (MOST if tolerance else MOST_EXACT):
        return None
    if tolerance == 0 or (a.is_exact and b.is_exact):
        joint = Joint(a, b, tolerance=0.0, box=input_ranges(domain, exact=True))
        if joint.equal:
            return SharedFunctions(
                0.0, 0.0, Growth(0.0, 0.0), joint.bound, joint.size - joint.n - 1, True, Claims.of(joint)
            )
        if tolerance == 0:
            return None
    if not products_in_range(a.rounded(), b.rounded()):
        return None
    allowed = min(tolerance, max(STRICT * tolerance, ROUNDING))
    with np.errstate(all="ignore"):
        try:
            joint = Joint(a, b, tolerance=allowed, box=input_ranges(domain, exact=False))
        except NumericalError:  # numbers that floats do not hold when rows are scaled
            return None
        if not agrees(joint, tolerance, allowed) or not admitted(joint.bound, Allowance(a, b, tolerance, domain)):
            return None
    growth = Growth(float(joint.bound[:, -1].max()), float(joint.bound[:, :-1].sum(axis=1).max() * (1 + 1e-12)))
    return SharedFunctions(
        joint.distance, allowed, growth, joint.bound, joint.size - joint.n - 1, exact=False, claims=Claims.of(joint)
    )


def agrees(joint: Joint, tolerance: float, allowed: float) -> bool:
    """Whether outputs in floats agree, and what was left out is within the tolerance of what they are summed from."""
    within = joint.bound <= tolerance * joint.magnitude.max(axis=1)[:, None]
    return joint.distance <= allowed and bool(within.all()) and bool(np.isfinite(joint.bound).all())


def admitted(bound: FloatArray, allowance: Allowance) -> bool:
    """Whether a bound of ``|f - g|`` over ``(|x|, 1)`` proves a YES, see `equivalence.allowance`."""
    if allowance.box is not None:
        return allowance.admits(bound_on(bound, *allowance.box), 0.0)
    return allowance.admits(bound[:, -1], bound[:, :-1].sum(axis=1))


def bound_on(bound: FloatArray, lo: Any, hi: Any) -> FloatArray:
    """Bound (nL,) of ``|f - g|`` on a box, from one over ``(|x|, 1)``."""
    far = np.append(np.maximum(np.abs(np.asarray(lo, dtype=np.float64)), np.abs(np.asarray(hi, dtype=np.float64))), 1.0)
    return np.asarray((bound @ far) * (1 + 1e-12))
