"""Answers about pairs of networks, with the evidence that they rest on."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._typing import Array, FloatArray
from ..complexes.domain import Polyhedron
from ..network.model import ReLUNetwork
from ..network.moves import Composition
from ..verdict import Verdict
from .witness import Witness, candidates, make_witness


@dataclass(frozen=True, eq=False)
class Equivalence:
    """Whether two networks compute the same function, and why.

    Attributes
    ----------
    verdict : Verdict
        The answer asked for: within the tolerance, or exact when ``tolerance=0``.
    method : str
        'parameters', 'canonical form', 'scalar function', 'witness', 'regions', 'box maximum',
        'branch and bound' or 'none'.
    reason : str
    tolerance : float
    epsilon : float or None
        Absolute bound asked for instead of the tolerance.
    bound : float or None
        YES: relative distance that was measured (of forms or of affine pieces; with a bounded domain,
        the maximum of ``|f - g|``). NO: size of the difference at the witness. UNDECIDED: what is known
        to bound ``|f - g|``, None if nothing.
    proof : Witness or None
        An input where they differ, both outputs, and how the difference was proved.
    proved : float
        Share of the domain on which equality was proved: 1 for YES; regions or volume for UNDECIDED.
    certificate : mapping
        Summary of what was checked.
    """

    a: ReLUNetwork = field(repr=False)
    b: ReLUNetwork = field(repr=False)
    verdict: Verdict
    method: str
    reason: str
    tolerance: float
    domain: Polyhedron | None = None
    epsilon: float | None = None
    bound: float | None = None
    proof: Witness | None = None
    proved: float = 0.0
    certificate: Any = field(default_factory=dict, repr=False)
    stats: Any = field(default_factory=dict, repr=False)
    known_exact: Verdict | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self.verdict)

    @property
    def witness(self) -> FloatArray | None:
        """Input where the networks differ, or None."""
        return None if self.proof is None else self.proof.x

    @property
    def tolerance_verdict(self) -> Verdict:
        """The answer within the tolerance (for ``tolerance=0`` the exact one)."""
        return self.verdict

    @functools.cached_property
    def exact_verdict(self) -> Verdict:
        """Whether the stored numbers, taken as rationals, give identical functions on the domain.

        Two copies rescaled by floats are usually equal within a tolerance and different exactly.
        Found on demand: by a point evaluated in rational arithmetic, or by exact normal forms;
        UNDECIDED otherwise: ``are_equivalent(..., tolerance=0)`` then goes over the regions.
        """
        if self.known_exact is not None:
            return self.known_exact
        return exact_verdict(self.a, self.b, self.domain, hint=self.witness)[0]

    @functools.cached_property
    def moves(self) -> Composition | None:
        """Moves that turn the first network into the second one, when they are known (found on demand)."""
        if self.verdict is not Verdict.YES or self.domain is not None:
            return None
        from .transport import moves_between

        return moves_between(self.a, self.b)

    def verify(self, *, rng: Any = 0) -> bool:
        """Check the answer anew, by another way than the one it was found.

        NO: both networks are evaluated at the witness in rational arithmetic, and differ (by more than
        ``epsilon``). YES: they agree at fresh inputs, also on walls (exactly, for ``tolerance=0``); beside that, by a canonical form: the
        moves, when known, are applied to the first network and must give the second one; by regions or a box maximum: the
        comparison is made over the complex of the other network, its certificate verified. What was found by bounds
        beyond the reach of enumeration is checked at inputs only. UNDECIDED claims nothing.
        """
        from .recheck import recheck

        return recheck(self, rng=rng)

    def __str__(self) -> str:
        answer = {"yes": "equivalent", "no": "different", "undecided": "not decided"}[self.verdict.value]
        return f"{answer} ({self.method}): {self.reason}"


@np.errstate(over="ignore", invalid="ignore")
def exact_verdict(
    a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None = None, *, hint: FloatArray | None = None
) -> tuple[Verdict, Witness | None]:
    """Exact equality of the stored numbers: by identical parameters, a witness, or exact normal forms."""
    if a == b:
        return Verdict.YES, None
    points = [] if hint is None else [hint]
    if domain is None or hasattr(domain, "lo"):
        points += list(candidates(a.rounded(), b.rounded(), domain, n=8)[:4])
    for x in points:
        found = make_witness(a, b, x)
        if found is not None:
            return Verdict.NO, found
    from .exactform import exact_normal_form

    if exact_normal_form(a) == exact_normal_form(b):
        return Verdict.YES, None
    special = candidates(a.rounded(), b.rounded(), domain, n=32)
    for x in special[:64]:
        found = make_witness(a, b, x)
        if found is not None:
            return Verdict.NO, found
    return Verdict.UNDECIDED, None


@dataclass(frozen=True, eq=False)
class Difference:
    """Where two networks differ on a domain, and by how much.

    Attributes
    ----------
    maximum : float
        Largest ``|f - g|`` over the domain and the outputs that was attained (infinite if unbounded).
    upper : float
        Proved bound of it; equals ``maximum`` up to rounding when ``complete``.
    where : (n0,) array or None
        Where the maximum is attained.
    output : int
        Which output it is.
    values : pair of arrays or None
        Both outputs there.
    complete : bool
        Whether the maximum is exact (up to ``upper - maximum``).
    proved : float
        Share of the domain (regions or volume) that is settled.
    n_regions : int
        Regions of the two networks side by side; 0 if they were not enumerated.
    region_maxima : (n_regions,) array or None
        Largest ``|f - g|`` on each region; infinite on regions where it grows without bound. None beyond
        four million incidences of vertices and regions.
    inner_points : (n_regions, n0) array or None
    method : str
    """

    maximum: float
    upper: float
    where: FloatArray | None
    output: int
    values: tuple[Array, Array] | None
    complete: bool
    proved: float
    method: str
    n_regions: int = 0
    region_maxima: FloatArray | None = field(default=None, repr=False)
    inner_points: FloatArray | None = field(default=None, repr=False)
    stats: Any = field(default_factory=dict, repr=False)

    def disagreement(self, threshold: float) -> FloatArray:
        """Inner points of the regions on which ``|f - g|`` exceeds the threshold somewhere."""
        if self.region_maxima is None or self.inner_points is None:
            return np.zeros((0, 0))
        return self.inner_points[self.region_maxima > threshold]

    def __str__(self) -> str:
        kind = "exact maximum" if self.complete else f"at least, and at most {self.upper:.6g};"
        place = "" if self.where is None else f" at {np.array2string(self.where, precision=6)}"
        return f"|f - g|: {kind} {self.maximum:.6g}{place} ({self.method})"
