"""Evidence that a complex is right and whole, and its check by other code.

`verify_complex` believes nothing that was stored or built but the vertices' walls and signs, which it checks: the frame
is made again from network and domain, every vertex is solved again, every sign, height, count and table that was given
out is computed by other code than made it. Why this is enough is said in ``docs/certification.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import words
from .._typing import WordArray
from .._values.checked import flag
from ..bounds.fixed_signs import Settled
from ..budget import Budget, Monitor
from ..errors import BudgetExceededError, NumericalError, PolyfiberError
from ..verdict import Verdict
from ..words import one_line
from .checks import given, points, skeleton, tables, volumes
from .checks.maps import check_maps
from .checks.weights import check_weights
from .lattice import check as lattice_check
from .lattice.build import LatticeSkeleton
from .skeleton.arrays import make_frame
from .skeleton.build import Skeleton

if TYPE_CHECKING:
    from .complex import PolyhedralComplex


@dataclass(frozen=True)
class Verification:
    """What a check of a complex looked at and found.

    Attributes
    ----------
    ok : bool
        Everything was checked and holds.
    vertices, edges, signs : int
        How many were looked at (vertices with ends at infinity; of a face lattice, incidences instead of edges).
    filtered, exact : int
        Signs recomputed by the floating filter, and in rational arithmetic.
    problems : tuple of str
        Empty when everything holds.
    unfinished : tuple of str
        What could not be checked, and why.
    recomputed : tuple of str
        What was computed again, and by which other code.
    """

    __repr__ = one_line

    ok: bool
    vertices: int
    edges: int
    signs: int
    filtered: int
    exact: int
    problems: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    recomputed: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """NO where a problem was found, UNDECIDED where something could not be checked, else YES."""
        if self.problems:
            return Verdict.NO
        return Verdict.UNDECIDED if self.unfinished else Verdict.YES

    @property
    def sentence(self) -> str:
        """Whether everything holds, and what was looked at."""
        if self.problems:
            return f"Refuted: {words.count(len(self.problems), 'problem')}, first: {self.problems[0]}."
        if self.unfinished:
            return f"Not verified: nothing speaks against it, but {self.unfinished[0]}; a larger budget goes on."
        return f"Verified: {words.count(self.vertices, 'vertex', 'vertices')} and {words.count(self.signs, 'sign')} were computed anew by other code, and nothing disagrees."

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class Certificate:
    """How the decisions behind a complex were made.

    Attributes
    ----------
    filtered, structural, exact : int
        Signs decided by a floating value beyond its error bound; by a rank argument; in
        rational arithmetic.
    orientation_exact : int
        Comparisons of heights decided in rational arithmetic.
    exact_seconds : float
        Time spent on exact signs.
    vertices, at_infinity, edges : int
        Size of the skeleton that was closed under neighbours; ``at_infinity`` counts ray ends.
    euler : int
        Alternating sum of the f-vector.
    largest_error : float
        Largest coordinate error bound of a vertex.
    """

    filtered: int
    structural: int
    exact: int
    orientation_exact: int
    exact_seconds: float
    vertices: int
    at_infinity: int
    edges: int
    euler: int
    largest_error: float
    zeros: int = 0
    """Walls found to pass through a vertex beyond those that define it; 0 for a generic network."""
    settled: Settled | None = field(repr=False, compare=False, default=None)
    """Neurons that were left out of the enumeration because bounds prove that they keep one sign on the domain;
    `verify` recomputes their signs at the vertices like those of all others."""
    _complex: Any = field(repr=False, compare=False, default=None)

    @property
    def sentence(self) -> str:
        """How the signs were decided, and what checks them."""
        return (
            f"{words.count(self.filtered + self.structural + self.exact, 'sign was', 'signs were')} decided, each certified: {self.filtered} by floats beyond their error "
            f"bound, {self.structural} by a rank, {self.exact} in rationals. Next: verify() decides them anew by other code."
        )

    def __str__(self) -> str:
        return self.sentence

    @classmethod
    def of(cls, cx: PolyhedralComplex) -> Certificate:
        """Certificate of a built complex."""
        counts, sk = cx.f_vector, cx._skeleton
        st, nv = sk.state, sk.nv
        finite = st.at_inf[:nv] < 0
        return cls(
            filtered=sk.stats.filtered,
            structural=sk.stats.structural,
            exact=sk.stats.exact,
            orientation_exact=sk.stats.orientation_exact,
            exact_seconds=sk.stats.exact_seconds,
            vertices=int(finite.sum()),
            at_infinity=int(nv - finite.sum()),
            edges=counts[1] if len(counts) > 1 else 0,
            euler=sum((-1) ** k * c for k, c in enumerate(counts)),
            largest_error=float(st.err[:nv][finite].max(initial=0.0)),
            zeros=getattr(sk, "exact_zeros", 0),
            settled=sk.frame.settled,
            _complex=cx,
        )

    def verify(self, *, everything: bool = False, budget: Budget | None = None) -> Verification:
        """Check the complex anew, by other code than made it; see `verify_complex`.

        Parameters
        ----------
        everything : bool
            Make all that can be asked for (faces, covers, vertices, breakpoint weights), and check it too. By default
            what was asked for so far is checked.
        budget : Budget, optional
            What it does not suffice for is named in ``unfinished``.

        Notes
        -----
        Cost: one forward evaluation per vertex and layer, two n x n solves per vertex, a sort of every table.
        """
        return verify_complex(self._complex, everything=everything, budget=budget)


class _Check:
    """The stages of a check: a problem, an error or the end of a budget is written down, and the next stage goes on."""

    def __init__(self, budget: Budget | None) -> None:
        self.monitor = Monitor(budget)
        self.problems: list[str] = []
        self.unfinished: list[str] = []
        self.recomputed: list[str] = []

    def stage(self, what: str, step: Callable[..., Any], *arguments: Any, otherwise: Any = None) -> Any:
        """Result of one stage; ``otherwise`` where it does not come to its end."""
        try:
            with np.errstate(all="ignore"), self.monitor.watching():  # what is not finite is unsure
                self.monitor.check_time(what)
                return step(*arguments)
        except BudgetExceededError as error:
            if not self.monitor.late and not hasattr(error, "needed"):
                raise  # of someone who is watching this check
            self.unfinished.append(f"{what}: {error}")
        except MemoryError as error:
            self.unfinished.append(f"{what}: {str(error) or 'memory is used up'}")
        except Warning as error:  # somebody made errors of warnings: nothing was refuted
            self.unfinished.append(f"{what}: {_short(error)}")
        except Exception as error:  # whatever a damaged complex may lead to is a finding, not a crash
            self.problems.append(f"{what} cannot be checked: {_short(error)}")
        return otherwise

    def note(self, text: str) -> None:
        self.recomputed.append(text)


def _short(error: Exception) -> str:
    text = str(error) if isinstance(error, PolyfiberError) else f"{type(error).__name__}: {error}"
    return text if len(text) < 300 else text[:297] + "..."


def verify_complex(cx: PolyhedralComplex, *, everything: bool = False, budget: Budget | None = None) -> Verification:
    """Check a complex by other code than made it; changes nothing, and never raises for what it finds.

    Parameters
    ----------
    cx : PolyhedralComplex
    everything : bool
        Make all tables first, so that they are checked too.
    budget : Budget, optional

    Returns
    -------
    Verification
        Its ``verdict`` is YES, NO with ``problems``, or UNDECIDED with what is ``unfinished``.
    """
    everything, check = flag(everything, "everything"), _Check(budget)
    if everything:
        check.stage("making all tables", _make_everything, cx)
    work = check.stage("the frame", _working_copy, cx, check.problems)
    if work is None:
        return _summary(check, 0, 0, 0, 0)
    if work.frame.n == 0:
        exact = check.stage("the only face", _check_only_face, cx, work, check.problems, otherwise=0)
        return _summary(check, 1, 0, 0, exact)
    simple = not isinstance(work, LatticeSkeleton)
    if not check.stage("references", _in_range, work, check.problems, otherwise=False):
        return _summary(check, work.nv, 0, 0, 0)
    at, rational = check.stage("coordinates", points.check_points, work, check.problems, otherwise=(0, 0))
    check.note(f"{at} vertices within their bounds: gated matrix products in numpy, {rational} in rationals")
    looked, rational = check.stage("given points", given.check_given, cx, work, check.problems, otherwise=(0, 0))
    if looked:
        check.note(
            f"{words.count(looked, 'vertex', 'vertices')} and rays as given out: lifted in the longest floats, {rational} in rationals"
        )
    check.stage("solving vertices", skeleton.solve_anew, work)
    at, rational = check.stage("solved vertices", points.check_points, work, check.problems, otherwise=(0, 0))
    check.note(f"{at} vertices solved again, within their bounds as before, {rational} in rationals")
    check.stage("distinct vertices", skeleton.check_distinct, work, check.problems)
    signs = skeleton.check_signs if simple else lattice_check.check_signs
    filtered, exact = check.stage("signs", signs, work, check.problems, otherwise=(0, 0))
    check.note(
        f"{words.count(filtered + exact, 'sign')}: forward evaluation at vertices solved again, {exact} in rationals"
    )
    edges = skeleton.check_edges if simple else lattice_check.check_faces
    number = check.stage("edges" if simple else "the face lattice", edges, work, check.problems, otherwise=0)
    check.note(f"{number} {'edges' if simple else 'incidences of faces'}: ends and signs compared, without coordinates")
    if not check.problems:
        _check_given_out(check, cx, work, simple)
    if everything and not check.problems and not check.unfinished:
        found = check.stage("breakpoint weights", check_weights, cx, check.problems, otherwise=0)
        check.note(f"{found} breakpoint weights: the jump of the gradient between the two regions")
    return _summary(check, work.nv, number, filtered, exact)


def _summary(check: _Check, vertices: int, edges: int, filtered: int, exact: int) -> Verification:
    return Verification(
        not check.problems and not check.unfinished,
        vertices,
        edges,
        filtered + exact,
        filtered,
        exact,
        tuple(check.problems),
        tuple(check.unfinished),
        tuple(check.recomputed),
    )


def _working_copy(cx: PolyhedralComplex, problems: list[str]) -> Skeleton | None:
    """The skeleton in a frame that is made again, in arrays of its own."""
    with cx._lock:
        old = cx._skeleton
        kept = old.__getstate__()
    flat = old.frame.hull is not None
    frame = make_frame(cx.network, cx.domain, flat=flat)
    if frame.n != old.frame.n or not all(
        np.array_equal(*p) for p in ((frame.rows, old.frame.rows), (frame.chart, old.frame.chart))
    ):
        problems.append("the frame is not that of the network and the domain")
        return None
    if not (np.array_equal(frame.columns, old.frame.columns) and frame.start == old.frame.start):
        again = frame.chart_of(old.frame.start)[:, old.frame.columns]
        if not _invertible(again, frame.n):
            problems.append("the coordinates of the frame are not independent")
            return None
        frame = make_frame(cx.network, cx.domain, basis=(old.frame.columns, np.array(old.frame.start)), flat=flat)
    work: Skeleton = object.__new__(type(old))
    work.__setstate__({**kept, "frame": frame})
    return work


def _invertible(matrix: Any, n: int) -> bool:
    from ..numerics.exact import rank

    return matrix.shape == (n, n) and rank(matrix) == n


def _in_range(work: Skeleton, problems: list[str]) -> bool:
    simple = not isinstance(work, LatticeSkeleton)
    return skeleton.in_range(work, problems, edges=simple) and (
        simple or lattice_check.in_range(work, problems)  # type: ignore[arg-type]
    )


def _check_given_out(check: _Check, cx: PolyhedralComplex, work: Skeleton, simple: bool) -> None:
    """Heights, counts and tables, once vertices, signs and edges hold."""
    store = cx._store
    if simple:
        with cx._lock:
            up: WordArray = np.array(store.up)
        looked, rational = check.stage("heights", points.check_heights, work, up, check.problems, otherwise=(0, 0))
        check.note(f"{looked} heights of edges: numpy, {rational} in rationals")
        rows = check.stage("tables", tables.check_tables, store, up, check.problems, otherwise=0)
        check.note(f"counts {store.counts} from the heights, and {rows} rows of tables made again from the vertices")
    else:
        rows = check.stage("tables", tables.check_lattice_tables, store, check.problems, otherwise=0)
        check.note(f"counts {store.counts} and {rows} rows of tables from the checked lattice")
    check.stage("columns", tables.check_columns, cx, work, check.problems)
    regions = check.stage("affine maps", check_maps, cx, check.problems, otherwise=0)
    check.note(f"affine maps of {words.count(regions, 'region')}: pulled back along slopes, in rationals")
    pairs = check.stage("regions", volumes.check_regions, cx, check.problems, otherwise=0)
    if pairs:
        check.note(f"{pairs} incidences and neighbours of regions: products of sparse matrices")
    if check.problems:
        return
    looked, rational = check.stage("volumes", volumes.check_volumes, cx, check.problems, otherwise=(0, 0))
    if looked:
        check.note(f"{words.count(looked, 'volume')}: sums of simplices, {rational} in rationals")


def _check_only_face(cx: PolyhedralComplex, work: Skeleton, problems: list[str]) -> int:
    """Where all neurons are constant: their values, and those of the domain's inequalities, at a point, in
    rationals.
    """
    point = work.frame.lifted(np.full((1, cx.network.architecture[0]), Fraction(0), dtype=object))[0]
    values = [z for layer in cx.network.exact().preactivations(point)[:-1] for z in layer]
    if cx.domain is not None:
        values += [
            sum((Fraction(a) * x for a, x in zip(row, point)), Fraction(row[-1])) for row in cx.domain.affine_forms()
        ]
    signs = [int(z > 0) - int(z < 0) for z in values]
    if cx.signs(0)[0].tolist() != signs or cx.f_vector != (1,):
        problems.append("the signs of the only face are wrong")
    error, there = float(cx.vertex_errors[0]), cx.vertices[0].tolist()
    if any(x != x for x in there) or not error >= 0:
        problems.append("a coordinate of the vertex, or its bound, is no number")
    elif np.isfinite(error) and not all(
        np.isfinite(x) and abs(Fraction(x) - true) <= Fraction(error) for x, true in zip(there, point)
    ):
        problems.append("the vertex lies farther from its coordinates than its error bound says")
    elif given.too_wide(cx.vertices, cx.vertex_errors, cx._frame.net.margins.inflate).any():
        problems.append("the error bound of the vertex is much wider than needed")
    return len(signs)


def _make_everything(cx: PolyhedralComplex) -> None:
    cx.materialize()
    for d in range(cx.dimension + 1):
        cx._store.covers_above(d)
        cx._store.unbounded(d)
    _ = cx.vertices, cx.vertex_errors, cx.edges, cx.rays, cx.dual_graph, cx.facets_of(0)


def require(verification: Verification) -> None:
    """Raise if a check found a problem."""
    if not verification.ok:
        raise NumericalError("; ".join((*verification.problems, *verification.unfinished)))
