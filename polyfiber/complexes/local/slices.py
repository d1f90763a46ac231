"""The exact complex of an affine slice of a network of any size."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from ... import words
from ..._lazy import above
from ..._typing import Array, FloatArray, ProgressLike
from ..._values.checked import array_of, points_of
from ..._values.read_only import closed
from ...budget import Budget, Monitor
from ...domain import Polyhedron
from ...errors import GenericityError, InputError, ShapeError, old_name
from ...network.model import ReLUNetwork
from ...network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork, require_network
from ...network.sparse import SparseMatrix
from ...network.wiring.exact_rows import integers
from ...numerics.exact import as_fractions, rank
from ...numerics.floats import nearest_floats
from ...numerics.products import exact_product
from ..build import canonical_complex
from ..complex import PolyhedralComplex
from ..planar.build import planar_slice
from ..planar.subdivision import PlanarSlice

LARGE, LARGE_CHAIN = 200, 1000
"""Gates from which on a network, or a ReLU chain, is sliced by walking over the regions rather than by building a
complex.
"""


@closed
@dataclass(frozen=True)
class Slice:
    """The complex of a network on ``origin + directions.T @ t``.

    Attributes
    ----------
    complex : PolyhedralComplex
        In the coordinates t. Its columns are the network's hidden neurons: sign vectors are those of the
        faces of the network's own complex that the slice meets.
    network : ReLUNetwork or PiecewiseLinearNetwork
        The restricted network, (k, n1, …, nL).
    origin : (n0,) float64
    directions : (k, n0) float64
    is_exact : bool
        Whether the restricted first layer is exactly the network's; then every sign is one of the given
        network on the exact slice. If not, ``rounding`` bounds the change.
    rounding : float
        Largest change of a parameter of the first layer, by rounding the restriction to float64.
    """

    complex: PolyhedralComplex
    network: Any
    origin: FloatArray
    directions: FloatArray
    is_exact: bool
    rounding: float

    exact = old_name("is_exact")

    def points(self, t: Any) -> FloatArray:
        """Inputs (…, n0) of slice coordinates (…, k)."""
        result: FloatArray = self.origin + np.asarray(t, dtype=np.float64) @ self.directions
        return result

    @property
    def vertices(self) -> FloatArray:
        """(f_0, n0) vertices as inputs of the network."""
        return self.points(self.complex.vertices)

    @property
    def f_vector(self) -> tuple[int, ...]:
        """Faces of each dimension."""
        return self.complex.f_vector

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return self.complex.n_regions

    @property
    def sentence(self) -> str:
        """What the slice shows, and of which network exactly."""
        exactly = (
            "the restriction is exact"
            if self.is_exact
            else f"weights of the restricted first layer are rounded by at most {self.rounding:.3g}"
        )
        return (
            f"The slice is cut into {words.count(self.n_regions, 'region')}; every sign is certified and {exactly}"
            + ("." if self.is_exact else "; rational arithmetic (arithmetic='exact') rounds nothing.")
        )

    def __str__(self) -> str:
        return self.sentence

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the slice in its own coordinates; options as in `polyfiber.plots.plot_complex`."""
        return above("plots.complexes:plot_slice")(self, ax=ax, **options)

    def __repr__(self) -> str:
        kind = "exact" if self.is_exact else f"first layer rounded by {self.rounding:.2g}"
        return f"Slice({len(self.directions)}-dimensional, f = {self.f_vector}, {kind})"


def restricted_network(
    network: Any, origin: Any, directions: Any, *, arithmetic: Literal["auto", "rounded", "exact"] = "auto"
) -> tuple[Any, bool, float]:
    """The network on an affine slice: first layer ``W1 D``, ``W1 o + b1``, the rest unchanged.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    origin : (n0,) array
    directions : (k, n0) array
    arithmetic : 'auto', 'rounded' or 'exact'
        'rounded' rounds the exact products to float64 and says by how much; 'exact' keeps fractions (up to three times
        as slow); 'auto' keeps fractions where floats do not hold the products.

    Returns
    -------
    network, exact, rounding
        Whether the restriction is exact, and the largest change of a parameter.
    """
    D, o = as_fractions(directions), as_fractions(origin)
    n0 = network.architecture[0]
    if D.ndim != 2 or D.shape[1] != n0 or o.shape != (n0,):
        raise ShapeError(
            f"origin {o.shape} and directions {D.shape} do not fit {words.count(n0, 'input')}; expected ({n0},) and (k, {n0})"
        )
    if not isinstance(arithmetic, str) or arithmetic not in ("auto", "rounded", "exact"):
        raise InputError(f"arithmetic must be 'auto', 'rounded' or 'exact', found {arithmetic!r}")
    if isinstance(network, PiecewiseLinearNetwork):
        if arithmetic == "auto" and not network.is_exact:
            with contextlib.suppress(InputError):  # beyond floats
                found = _restricted_gates(network, o, D, keep=False)
                if found[1]:
                    return found
        return _restricted_gates(network, o, D, keep=arithmetic != "rounded")
    weight = exact_product(as_fractions(network.weights[0]), D.T)
    bias = exact_product(as_fractions(network.weights[0]), o[:, None])[:, 0] + as_fractions(network.biases[0])
    rounding = np.inf
    if arithmetic == "rounded" or (arithmetic == "auto" and not network.is_exact):
        try:
            w, w_error = nearest_floats(weight)
            b, b_error = nearest_floats(bias)
            rounding = max(w_error, b_error)
        except OverflowError:
            if arithmetic == "rounded":
                raise InputError(
                    "the restricted first layer holds a number beyond float64; pass arithmetic='exact'"
                ) from None
    if arithmetic != "rounded" and rounding > 0.0:
        net = ReLUNetwork([weight, *network.weights[1:]], [bias, *network.biases[1:]], source=network.source)
        return net, True, 0.0
    exact = rounding == 0.0 and not network.is_exact
    rest = network.rounded()
    source = {**network.source, "slice": {"exact": exact, "rounding": rounding}}
    return ReLUNetwork([w, *rest.weights[1:]], [b, *rest.biases[1:]], source=source), exact, rounding


def _restricted_gates(
    network: PiecewiseLinearNetwork, o: Array, D: Array, *, keep: bool
) -> tuple[PiecewiseLinearNetwork, bool, float]:
    """The same for gates: whatever a block reads of the input is restricted."""
    maps, worst = [], 0.0
    for affine in (*(block.affine for block in network.blocks), network.output):
        weights, bias = dict(affine.weights), affine.bias
        if 0 in weights:
            matrix = SparseMatrix.of(weights[0])
            small, shift = _sparse_times(matrix, D), _sparse_times(matrix, o[None])[:, 0]
            bias = as_fractions(bias) + shift
            if not keep:
                try:
                    small, off = nearest_floats(small)
                    bias, other = nearest_floats(bias)
                except OverflowError:
                    raise InputError("the restriction holds a number beyond float64; pass arithmetic='exact'") from None
                worst = max(worst, off, other)
            weights[0] = small
        maps.append(AffineMap(weights, bias) if keep else AffineMap(weights, bias).astype(False))
    slopes = [block.slopes if keep else block.slopes.astype(np.float64) for block in network.blocks]
    blocks = [
        GateBlock(m.weights, m.bias, slopes=s, groups=block.groups) for m, s, block in zip(maps, slopes, network.blocks)
    ]
    exact = keep or (worst == 0.0 and not network.is_exact)
    source = {**network.source, "slice": {"exact": exact, "rounding": worst}}
    return PiecewiseLinearNetwork(len(D), blocks, maps[-1], source=source), exact, worst


def _sparse_times(matrix: SparseMatrix, D: Array) -> Array:
    """``matrix @ D.T`` as Fractions (m, k), by integers over common denominators."""
    entries, below = integers(matrix.data)
    rows, under = integers(D)
    out = np.full((matrix.shape[0], len(rows)), Fraction(0), dtype=object)
    filled = np.flatnonzero(np.diff(matrix.indptr))
    for k, row in enumerate(rows if len(filled) else ()):
        sums = np.add.reduceat(entries * row[matrix.indices], matrix.indptr[filled])
        out[filled, k] = [Fraction(int(v), below * under) for v in sums.tolist()]
    return out


def slice_complex(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    origin: Any,
    directions: Any,
    *,
    domain: Polyhedron | None = None,
    arithmetic: Literal["auto", "rounded", "exact"] = "auto",
    method: Literal["auto", "complex", "walk"] = "auto",
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> Slice | PlanarSlice:
    """The canonical complex of a network on an affine slice, complete and certified.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        Of any size: the cost is that of a network with k inputs.
    origin : (n0,) array
    directions : (k, n0) array
        Linearly independent; usually k is 1, 2 or 3.
    domain : Box or Polyhedron, optional
        In the slice's coordinates t.
    arithmetic : 'auto', 'rounded' or 'exact'
        How the restricted first layer of a complex is kept, see `restricted_network`: exactly by default. A walk always
        restricts exactly.
    method : 'auto', 'complex' or 'walk'
        'complex' builds the complex of the restricted network (k arbitrary, all of the plane too). 'walk' goes over the
        regions of a bounded polygon or segment, and keeps layers sparse. 'auto' walks on domains of dimension 1 or 2
        for chains of 1000 neurons or more and other networks of 200 gates or more.

    Returns
    -------
    Slice or PlanarSlice
        The latter from a walk.

    Raises
    ------
    InputError
        Directions that are linearly dependent.
    ShapeError
        A domain that has not one coordinate for each direction.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((20, 12, 12, 3), rng=0)
    >>> D = [[1.0] + [0.0] * 19, [0.0, 1.0] + [0.0] * 18]
    >>> s = pf.slice_complex(net, [0.0] * 20, D, domain=pf.Box(-1, 1, dimension=2))
    >>> s.is_exact, s.complex.euler_characteristic
    (True, 1)
    >>> pf.slice_complex(net, [0.0] * 20, D, domain=pf.Box(-1, 1, dimension=2), method="walk").f_vector == s.f_vector
    True
    """
    network = require_network(network)
    if not isinstance(method, str) or method not in ("auto", "complex", "walk"):
        raise InputError(f"method must be 'auto', 'complex' or 'walk', found {method!r}")
    D = np.atleast_2d(array_of(directions, "directions"))
    o = array_of(origin, "origin")
    if isinstance(domain, Polyhedron) and domain.dimension != len(D):
        raise ShapeError(
            f"the domain has {words.count(domain.dimension, 'coordinate')} and the slice {len(D)} direction{'s' if len(D) > 1 else ''}; "
            "expected a domain in the slice's own coordinates t, one for each direction"
        )
    size = LARGE_CHAIN if isinstance(network, ReLUNetwork) else LARGE
    large = network.n_hidden >= size and domain is not None and len(D) <= 2
    if method == "walk" or (method == "auto" and large):
        return planar_slice(network, o, D, domain=domain, budget=budget, progress=progress)
    return complex_slice(network, o, D, domain=domain, arithmetic=arithmetic, budget=budget, progress=progress)


def complex_slice(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    origin: Any,
    directions: Any,
    *,
    domain: Polyhedron | None = None,
    arithmetic: Literal["auto", "rounded", "exact"] = "auto",
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> Slice:
    """The complex of a network restricted to a slice; see `slice_complex`."""
    D, o = np.atleast_2d(array_of(directions, "directions")), array_of(origin, "origin")
    monitor = Monitor(budget)
    with monitor.watching():
        small, exact, rounding = restricted_network(network, o, D, arithmetic=arithmetic)
    if rank(D) < D.shape[0]:
        raise InputError(
            f"the directions are linearly dependent: {words.count(D.shape[0], 'direction')} of rank {rank(D)}"
        )
    try:
        cx = canonical_complex(small, domain, budget=monitor.rest(), progress=progress)
    except GenericityError as error:
        error.add_note("the slice meets a face it should miss; a slightly different origin or direction avoids it")
        raise
    return Slice(cx, small, points_of(o, len(o)), points_of(D, D.shape[1]), exact, rounding)


__all__ = ["Slice", "complex_slice", "restricted_network", "slice_complex"]
