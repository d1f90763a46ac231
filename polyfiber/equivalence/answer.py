"""Answers about pairs of networks, with the evidence that they rest on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import words
from .._lazy import above
from .._once import cached_property
from .._typing import Array, FloatArray
from .._values.read_only import closed
from ..budget import Budget
from ..domain import Polyhedron
from ..errors import IncompleteError, NumericalError
from ..network.model import ReLUNetwork
from ..network.moves import Composition
from ..verdict import Verdict
from .bounds.everywhere import Growth
from .bounds.near_equal import NearEqual
from .grounds import Ground
from .partial import ProvedPart
from .witness import Witness, candidates, decisive_in


@dataclass(frozen=True, eq=False)
class Equivalence:
    """Whether two networks compute the same function, and why.

    Attributes
    ----------
    verdict : Verdict
        The answer asked for: within the tolerance, or exact when ``tolerance=0``.
    method : str
        'parameters', 'canonical form', 'shared features', 'relations', 'scalar function', 'witness', 'regions',
        'weights', 'branch and bound' or 'none'.
    reason : str
    tolerance : float
    epsilon : float, array or None
        Bound of ``|f - g|`` asked for instead of the tolerance.
    bound : float or None
        YES: relative distance that was measured (of forms or of affine pieces; with a bounded domain,
        the maximum of ``|f - g|``). NO: None; the difference at the witness, ``proof.gap``, bounds nothing from above.
        UNDECIDED: on a bounded domain what was proved to bound ``|f - g|``, None on others; see `growth`.
    proof : Witness or None
        An input where they differ, both outputs, and how the difference was proved.
    proved : float
        Share of the domain on which equality was proved: 1 for YES; of the regions or the volume for UNDECIDED.
    part : ProvedPart or None
        UNDECIDED: on which regions, blocks or cells equality was proved, and the bound on the rest.
    certificate : mapping
        Summary of what was checked.
    near : NearEqual or None
        With ``epsilon``: the search over boxes, with its tree, the best gap and where, and what is open.
    functions : SharedFunctions, Splitting or None
        Methods 'relations' and 'splitting': the matrices of both networks over one list of functions, or the cells on
        which they are compared. `recheck` multiplies them out in rationals.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    >>> print(pf.are_equivalent(net, net).sentence)
    Yes: the networks are the same function on all of R^2, exactly. Proved: identical parameters.
    """

    a: ReLUNetwork = field(repr=False)
    b: ReLUNetwork = field(repr=False)
    verdict: Verdict
    method: str
    reason: str
    tolerance: float
    domain: Polyhedron | None = None
    epsilon: Any = None
    bound: float | None = None
    proof: Witness | None = None
    proved: float = 0.0
    certificate: Any = field(default_factory=dict, repr=False)
    part: ProvedPart | None = None
    stats: Any = field(default_factory=dict, repr=False)
    known_exact: Verdict | None = field(default=None, repr=False)
    near: NearEqual | None = field(default=None, repr=False)
    functions: Any = field(default=None, repr=False)

    @classmethod
    def equal(cls, a: ReLUNetwork, b: ReLUNetwork, tolerance: float, ground: Ground, **more: Any) -> Equivalence:
        """YES, resting on a ground (`grounds`), which exists only where it proves equality."""
        more = {"proved": 1.0, "bound": ground.bound, "certificate": ground.certificate, **more}
        return cls(a, b, Verdict.YES, ground.method, ground.reason, tolerance, **more)

    @classmethod
    def different(
        cls, a: ReLUNetwork, b: ReLUNetwork, tolerance: float, proof: Witness, method: str, reason: str, **more: Any
    ) -> Equivalence:
        """NO, resting on a witness (`witness.decisive`) whose gap exceeds what the tolerance explains."""
        if not (isinstance(proof, Witness) and proof.gap > 0):
            raise NumericalError(f"{proof!r} proves no difference; please report this")
        more = {"known_exact": Verdict.NO, **more}
        return cls(a, b, Verdict.NO, method, reason, tolerance, proof=proof, **more)

    def __bool__(self) -> bool:
        return bool(self.verdict)

    @property
    def witness(self) -> FloatArray | None:
        """Input where the networks differ, or None."""
        return None if self.proof is None else self.proof.x

    @property
    def growth(self) -> Growth | None:
        """UNDECIDED: a bound of ``|f - g|`` at every input, ``constant + slope |x|``."""
        return None if self.part is None else self.part.growth

    @cached_property
    def exact_verdict(self) -> Verdict:
        """Whether the stored numbers, taken as rationals, give identical functions on the domain.

        Two copies rescaled by floats are usually equal within a tolerance and different exactly.
        Found on demand: by a point evaluated in rational arithmetic, or by exact normal forms;
        UNDECIDED otherwise: ``are_equivalent(..., tolerance=0)`` then goes over the regions.
        """
        if self.known_exact is not None:
            return self.known_exact
        return exact_verdict(self.a, self.b, self.domain, hint=self.witness)[0]

    @cached_property
    def moves(self) -> Composition | None:
        """Moves that turn the first network into the second one, when they are known (found on demand)."""
        if self.verdict is not Verdict.YES or self.domain is not None:
            return None
        moves: Composition | None = above("equivalence.moves_between:moves_between")(self.a, self.b)
        return moves

    def recheck(
        self, *, rng: Any = 0, budget: Budget | None = None, workers: int = 1, scheduler: Any = None
    ) -> Recheck:
        """Check the answer anew, by other ways than the one it was found, and say what was checked.

        Parameters
        ----------
        rng : optional
            Of the fresh inputs.
        budget : Budget, optional
            60 seconds by default. It is kept inside every step, as in `are_equivalent`.
        workers : int
            Processes that prove boxes of an answer with ``epsilon`` again.
        scheduler : optional
            For the same: a Dask client, the address or name of a Dask scheduler, or an executor.

        Returns
        -------
        Recheck
            YES: confirmed by a proof of its own. NO: refuted. UNDECIDED: nothing speaks against the answer, and no
            proof of it was completed within the budget.

        Notes
        -----
        NO: both networks are evaluated at the witness in rational arithmetic, and differ (by more than ``epsilon``, or by
        more than the tolerance explains). YES, whatever way it was found: they agree at fresh inputs, also on walls (exactly,
        for ``tolerance=0``), and one of these holds, the cheapest first: the moves, when all of them keep every function, give the second
        network from the first; the networks share their features layer by layer (`shared_features`, in rationals for ``tolerance=0``);
        the weights bound the difference on the box; the regions of the *other* network, with its complex certified anew,
        confirm it; a branch and bound with another relaxation (`checks.bounds`) bounds the difference again.
        UNDECIDED: its bounds are compared with values at fresh inputs.
        """
        found: Recheck = above("equivalence.checks.recheck:recheck")(
            self, rng=rng, budget=budget, workers=workers, scheduler=scheduler
        )
        return found

    def verify(self, *, rng: Any = 0, budget: Budget | None = None, workers: int = 1, scheduler: Any = None) -> bool:
        """Whether `recheck` confirms the answer (True) or refutes it (False), with the same options.

        Raises
        ------
        IncompleteError
            Neither within the budget, 60 seconds by default; ``partial`` is the `Recheck`, which says what was checked.
        """
        found = self.recheck(rng=rng, budget=budget, workers=workers, scheduler=scheduler)
        if found.verdict is Verdict.UNDECIDED:
            raise IncompleteError(f"not verified: {found.reason}", partial=found)
        return bool(found.verdict)

    @property
    def sentence(self) -> str:
        """Whether they are the same function, up to what, how sure, and what would decide an open question."""
        return told(self)

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return words.short(f"Equivalence({self.verdict.value}, {self.method}: {self.reason})")


def _point(x: FloatArray) -> str:
    """An input, cut where it is long."""
    shown = ", ".join(f"{v:.6g}" for v in x[:4])
    return f"({shown}{', …' if len(x) > 4 else ''})"


def told(eq: Equivalence) -> str:
    """The answer in words, for someone who knows no theorem."""
    where = words.place(eq.domain, eq.a.architecture[0])
    relative = eq.near is not None and bool(np.any(np.asarray(eq.near.relative) > 0))
    near = relative or (eq.epsilon is not None and bool(np.any(np.asarray(eq.epsilon) > 0)))
    within = "are the same function"
    if near:
        most = np.unique(np.asarray(eq.epsilon, dtype=np.float64))
        within = f"differ by at most {words.number(most[-1])} in every output"
        if len(most) > 1:
            within = (
                f"differ in each output by at most its epsilon, {words.number(most[0])} to {words.number(most[-1])},"
            )
    if relative:
        within = "differ by at most epsilon plus the relative part that was allowed, in every output,"
    if eq.verdict is Verdict.YES:
        exactly = eq.tolerance == 0 or eq.method == "parameters" or eq.known_exact is Verdict.YES
        up_to = "" if near else ", exactly" if exactly else f", up to a relative {eq.tolerance:g}"
        return f"Yes: the networks {within} {where}{up_to}. Proved: {eq.reason}."
    if eq.verdict is Verdict.NO and eq.proof is not None:
        gap = words.number(eq.proof.gap) if _fits(eq.proof.gap) else "more than the largest float"
        how = "computed exactly" if eq.proof.proof == "exact" else "beyond all rounding errors"
        return f"No: at the input {_point(eq.proof.x)} an output differs by {gap}, {how}" + (
            "; that is more than was allowed."
            if near
            else "; equal functions differ nowhere."
            if eq.tolerance == 0 or eq.epsilon is not None
            else ", more than the tolerance explains. Whether they are near enough on a box is another question: "
            f"{words.way('--epsilon and --domain', 'epsilon= and domain=')} ask it."
        )
    decide = words.way("More --seconds", "A larger budget=")
    if eq.domain is None:
        decide += ", or the question on a bounded domain,"
    decide += " may decide it."
    if "tolerance=0" in eq.reason:  # says itself what would decide; time does not
        decide = ""
    known = (
        ""
        if eq.bound is None or not np.isfinite(eq.bound)
        else f" Known: no output differs by more than {eq.bound:.6g} there."
    )
    return f"Not decided whether the networks {within} {where}: {eq.reason}.{known} {decide}".rstrip()


def _fits(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except OverflowError:
        return False


@dataclass(frozen=True)
class Recheck:
    """What a second look at an answer found.

    Attributes
    ----------
    verdict : Verdict
        YES: confirmed. NO: refuted. UNDECIDED: not refuted, and not proved again within the budget.
    checks : tuple of str
        What was checked, and held.
    reason : str
        What settled it, or what is missing.
    seconds : float
    found_by : str
        The way by which the answer had been found; what checked it is the last of ``checks``.
    """

    verdict: Verdict
    checks: tuple[str, ...]
    reason: str
    seconds: float = 0.0
    found_by: str = ""

    def __bool__(self) -> bool:
        return bool(self.verdict)

    @property
    def sentence(self) -> str:
        """Whether the answer was confirmed, and how."""
        return str(self)

    def __str__(self) -> str:
        word = {"yes": "confirmed", "no": "refuted", "undecided": "not verified"}[self.verdict.value]
        roads = [f"found by {self.found_by}"] if self.found_by else []
        roads += [f"checked: {'; '.join(self.checks)}"] if self.checks else []
        more = ""
        if self.verdict is Verdict.UNDECIDED and "tolerance=0" not in self.reason:
            more = f"; {words.way('more --seconds go on', 'a larger budget= goes on')}"
        return f"{word}: {self.reason}{more}" + (f" ({'; '.join(roads)})" if roads else "")


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
        found = decisive_in(domain, a, b, x, 0.0)
        if found is not None:
            return Verdict.NO, found
    from .forms.exact import exact_normal_form

    if exact_normal_form(a) == exact_normal_form(b):
        return Verdict.YES, None
    for x in candidates(a.rounded(), b.rounded(), domain, n=32)[:64]:
        found = decisive_in(domain, a, b, x, 0.0)
        if found is not None:
            return Verdict.NO, found
    return Verdict.UNDECIDED, None


@closed
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

    @property
    def sentence(self) -> str:
        """By how much the networks differ, how sure, and what would say more."""
        at = "" if self.where is None else f", at the input {_point(self.where)}"
        if np.isinf(self.maximum):
            return (
                "The outputs differ by more than any number on the domain: it is unbounded, and so is the difference."
            )
        if self.complete and self.upper - self.maximum > 1e-3 * self.upper:
            return (
                f"The largest difference of an output on the domain is at least {words.at_least(self.maximum)}{at} and at most {words.at_most(self.upper)}, proved; "
                "on a bounded domain method='bound' can bring the two together where rounding keeps them apart."
            )
        if self.complete:
            return f"The largest difference of an output on the domain is {words.at_least(self.maximum, 9)}{at}; this is proved (at most {words.at_most(self.upper, 9)})."
        top = (
            f"and at most {words.at_most(self.upper)}, proved"
            if np.isfinite(self.upper)
            else "and no bound of it is known"
        )
        return (
            f"The largest difference of an output on the domain is at least {words.at_least(self.maximum)}{at} {top}; "
            "a larger budget narrows this."
        )

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return words.short(f"Difference(maximum {self.maximum:.6g}, upper {self.upper:.6g}, {self.method})")
