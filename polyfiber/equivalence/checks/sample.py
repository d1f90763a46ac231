"""Compare two networks at the vertices, along the rays and inside the regions of their complexes.

Two networks that agree there, to rounding, agree on every cell on which both are affine. It is the check behind every
component that the classifier reports; it does not use how the component was found. What it shares with answers are the
complexes that choose the points, the answer's own where they are handed over; values are evaluated anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ..._values.checked import flag, shown, whole
from ..._values.read_only import closed
from ...budget import Budget
from ...complexes.complex import PolyhedralComplex
from ...domain import Box
from ...errors import GenericityError, IncompleteError, InputError, NumericalError, ShapeError, renamed_argument
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, function_chain, require_network
from ...verdict import Verdict


@closed
@dataclass(frozen=True)
class Deviation:
    """How far two networks are apart at the places that matter.

    Attributes
    ----------
    relative : float
        Largest ``|f - g|`` divided by the sum of the magnitudes of all terms there: equal
        functions give a small multiple of the unit roundoff.
    absolute : float
        Largest ``|f - g|`` among the same points.
    at : (n0,) array
        Where the relative one is attained.
    points : int
    source : str
        'complexes' (vertices, ray points, region points of one or both complexes) or 'samples'.
    verdict : Verdict
        UNDECIDED, unless a proof says more: comparing values proves nothing by itself.
    """

    relative: float
    absolute: float
    at: FloatArray
    points: int
    source: str
    verdict: Verdict = Verdict.UNDECIDED


def probe_points(net: Any, *, complex: Any = None, budget: Budget | None = None) -> FloatArray:
    """Vertices, points far out on every ray, and one point inside every region of a canonical complex."""
    from ...complexes.build import canonical_complex

    cx = canonical_complex(net, budget=budget) if complex is None else complex
    vertices, inside = cx.vertices, cx.interior_points()
    parts = [vertices, inside]
    ids, directions = cx.rays
    if len(ids):
        starts = vertices[np.maximum(cx.edges[ids, 0], 0)]
        size = 1.0 + np.abs(vertices).max(initial=0.0)
        with np.errstate(invalid="ignore", over="ignore"):  # vertices beyond floats are infinite
            parts += [starts + size * directions, starts + 1e3 * size * directions]
    points = np.concatenate(parts)
    return points[np.isfinite(points).all(axis=1)]


def sample_points(n0: int, *, count: int = 4096, domain: Box | None = None) -> FloatArray:
    """Fixed random inputs over five orders of magnitude, or uniform in a box (its corners' directions included)."""
    rng = np.random.default_rng(0)
    if domain is not None:
        low, high = (np.asarray(side, dtype=np.float64) for side in (domain.lo, domain.hi))
        share = rng.random((count, n0))
        share[: count // 4] = np.round(share[: count // 4])
        inside: FloatArray = (1 - share) * low + share * high  # the difference may be beyond floats
        return inside
    points: FloatArray = rng.standard_normal((count, n0)) * 10.0 ** rng.uniform(-2, 3, (count, 1))
    return points


def magnitude(net: ReLUNetwork, x: FloatArray) -> FloatArray:
    """Sum of the magnitudes of the terms of the value at each point: rounding errors are relative to it.

    Neurons that are off beyond rounding add no terms.
    """
    y, size = x, np.abs(x)
    for W, b in zip(net.weights, net.biases):
        z, size = y @ W.T + b, size @ np.abs(W).T + np.abs(b)
        if W is not net.weights[-1]:
            y, size = np.maximum(z, 0.0), np.where(z > -1e-11 * size, size, 0.0)
    return size


def _as_domain(box: Any) -> Any:
    """What ``domain=`` takes, from what ``box=`` took: lower and upper bounds."""
    return Box(*box) if isinstance(box, list | tuple) and len(box) == 2 else box


@renamed_argument("box", "domain", _as_domain)
def deviation(
    a: ReLUNetwork | PiecewiseLinearNetwork,
    b: ReLUNetwork | PiecewiseLinearNetwork,
    *,
    complexes: Any = (),
    use_complexes: bool = True,
    domain: Box | None = None,
    max_faces: int = 500_000,
    budget: Budget | None = None,
) -> Deviation:
    """Largest difference of two networks at the probe points of both complexes.

    Parameters
    ----------
    a, b : ReLUNetwork or PiecewiseLinearNetwork
        With the same number of inputs and outputs.
    complexes : sequence of PolyhedralComplex
        Complexes that are there already (for either network).
    use_complexes : bool
        Whether to build the complexes; degenerate networks, and ones with more than about
        ``max_faces`` faces, are compared at fixed random inputs instead, and `source` says so.
    domain : Box, optional
        Compare there only.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.checks.sample import deviation
    >>> net = pf.ReLUNetwork.random((2, 3, 2, 1), rng=0)
    >>> deviation(net, net).relative
    0.0
    """
    if domain is not None and not isinstance(domain, Box):
        raise InputError(f"networks are compared on a Box, found {type(domain).__name__}")
    a, b, use_complexes = require_network(a), require_network(b), flag(use_complexes, "use_complexes")
    max_faces = whole(max_faces, "max_faces", least=0)
    if a.architecture[0] != b.architecture[0] or a.architecture[-1] != b.architecture[-1]:
        raise ShapeError(f"{a!r} and {b!r} have different inputs or outputs")
    parts = [sample_points(a.architecture[0], domain=domain)]
    source = "samples"
    given = list(complexes) if isinstance(complexes, list | tuple) else [complexes]
    if not all(isinstance(cx, PolyhedralComplex) and cx.network.architecture[0] == a.architecture[0] for cx in given):
        raise InputError(f"complexes are those of the two networks, found {shown(complexes)}")
    if not given and use_complexes:
        from ...complexes.build import canonical_complex, estimate_size

        for net in (a, b):
            try:
                if estimate_size(net, domain)["faces"] <= max_faces:
                    given.append(canonical_complex(net, domain, budget=budget))
            except (GenericityError, IncompleteError):
                continue
    for cx in given:
        parts.append(probe_points(cx.network, complex=cx))
        source = "complexes"
    x = np.concatenate(parts)
    fa, fb = a.rounded(), b.rounded()
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        difference = np.abs(fa(x) - fb(x))
        sizes = [magnitude(function_chain(f).rounded(), x) for f in (fa, fb)]
        size = np.maximum(np.maximum(*sizes), 1e-300)
        relative = (difference / size).max(axis=1)
    finite = np.isfinite(difference).all(axis=1) & np.isfinite(size).all(
        axis=1
    )  # beyond the range of floats: no answer
    if not finite.any():
        raise NumericalError("the values of the networks are beyond floats at all probe points; scale the outputs down")
    x, difference, relative = x[finite], difference[finite], relative[finite]
    worst = int(relative.argmax())
    return Deviation(float(relative[worst]), float(difference.max()), x[worst], len(x), source)
