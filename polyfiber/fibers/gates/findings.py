"""What can be said of the gates of any network: those on one side of their walls, unused ones, copies, walls that do
not show.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np

from ...budget import Budget, Monitor
from ...complexes.build import canonical_complex, estimate_size
from ...complexes.complex import PolyhedralComplex
from ...complexes.local.gate_arrays import GateFrame
from ...complexes.ranges.activation import activation_bounds
from ...domain import Polyhedron
from ...errors import InputError
from ...network.piecewise import PiecewiseLinearNetwork
from ...network.sparse import SparseMatrix
from ..findings import Finding, invisible_neurons

MOST_FACES = 500_000
"""Faces expected of a complex that is built unasked."""
MOST_REGIONS = 4096
"""Regions on which the forms of gates are compared in rationals."""


def gate_findings(
    net: PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    complex: PolyhedralComplex | None = None,
    budget: Budget | None = None,
) -> tuple[Finding, ...]:
    """Findings about the gates of a network: 'dead', 'linear', 'unused', 'duplicate', 'opposite', 'invisible'.

    Parameters
    ----------
    net : PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    complex : PolyhedralComplex, optional
        That of the network on the domain; built where about half a million faces are expected at most. Without one,
        bounds on a bounded domain say what is on one side, and copies and invisible walls are not looked for.
    budget : Budget, optional

    Returns
    -------
    tuple of Finding
        ``layer`` is the block, from 1. 'dead': z <= 0 and the slope there is 0, or z = 0; 'linear': on one side
        throughout, so that it is an affine map there; 'unused': nothing behind reads it; 'duplicate', 'opposite': z is
        a positive or negative multiple of another gate's on the whole domain, in rationals; 'invisible': no facet of
        its wall has a weight.

    Raises
    ------
    InputError
        Neither a complex of that size nor a bounded domain.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.gates.findings import gate_findings
    >>> block = pf.GateBlock({0: [[1.0], [2.0], [1.0]]}, [0.0, 0.0, 3.0], slopes=(0.5, 1))
    >>> net = pf.PiecewiseLinearNetwork(1, [block], pf.AffineMap({1: [[1.0, 1.0, 1.0]]}, [0.0]))
    >>> [(f.kind, f.neurons) for f in gate_findings(net, pf.Box([-1], [1]))]
    [('linear', (2,)), ('duplicate', (0, 1))]
    """
    if not isinstance(net, PiecewiseLinearNetwork):
        raise InputError(
            f"expected a PiecewiseLinearNetwork, found {type(net).__name__}; classify_fiber finds more of chains"
        )
    monitor = Monitor(budget)
    if not net.n_hidden:
        return ()
    if complex is None and estimate_size(net, domain)["faces"] <= MOST_FACES:
        complex = canonical_complex(net, domain, budget=monitor.rest())
    if complex is None and domain is None:
        raise InputError(
            f"about {estimate_size(net, domain)['faces']:.2g} faces are expected, too many to look at unasked; give a bounded domain"
        )
    found = _unused(net)
    told = {(f.layer, i) for f in found for i in f.neurons}
    with monitor.watching():
        if complex is None:
            assert domain is not None
            side, by = activation_bounds(net, domain, budget=monitor.rest()).signs, "linear bounds"
        else:
            signs, by = complex.signs(complex.dimension)[:, : net.n_hidden], "complex"
            side = np.where((signs <= 0).all(axis=0), -1, np.where((signs >= 0).all(axis=0), 1, 0))
        found += [f for f in _one_sided(net, side, by) if (f.layer, f.neurons[0]) not in told]
        if complex is not None:
            told = {(f.layer, i) for f in found for i in f.neurons}
            found += _copies(net, domain, complex, told)
            found += invisible_neurons(net, complex, found)
    return tuple(found)


def _unused(net: PiecewiseLinearNetwork) -> list[Finding]:
    found = []
    maps = [*(b.affine for b in net.blocks), net.output]
    for l, block in enumerate(net.blocks, start=1):
        read = np.zeros(block.width, dtype=bool)
        for affine in maps:
            if l in affine.weights:
                matrix = affine.weights[l]
                if isinstance(matrix, SparseMatrix):
                    read[matrix.indices] = True
                else:
                    read |= np.asarray(matrix != 0, dtype=bool).any(axis=0)
        for i in np.flatnonzero(~read).tolist():
            found.append(Finding("unused", l, (i,), True, f"gate {i} of block {l}: nothing behind reads it"))
    return found


def _one_sided(net: PiecewiseLinearNetwork, side: Any, by: str) -> list[Finding]:
    found = []
    for index in np.flatnonzero(side).tolist():
        block, i = net.neuron(index)
        slope = net.blocks[block - 1].slopes[i, int(side[index] > 0)]
        where = "above" if side[index] > 0 else "below"
        if slope == 0:
            found.append(
                Finding("dead", block, (i,), True, f"gate {i} of block {block}: {where} its wall, gives 0", by)
            )
        else:
            gives = "what it reads" if slope == 1 else f"{slope} times what it reads"
            text = f"gate {i} of block {block}: {where} its wall throughout, so it gives {gives}"
            found.append(Finding("linear", block, (i,), True, text, by))
    return found


def _copies(
    net: PiecewiseLinearNetwork, domain: Polyhedron | None, cx: PolyhedralComplex, told: set[tuple[int, int]]
) -> list[Finding]:
    """Gates whose forms are in one ratio on every region."""
    signs = cx.signs(cx.dimension)[:, : net.n_hidden]
    if len(signs) > MOST_REGIONS:
        return []
    alike: dict[bytes, list[int]] = defaultdict(list)
    for index in range(net.n_hidden):
        if net.neuron(index) not in told:
            column = signs[:, index]
            lead = column[np.flatnonzero(column)[:1]]
            alike[(column * (lead[0] if len(lead) else 1)).astype(np.int8).tobytes()].append(index)
    groups = [g for g in alike.values() if len(g) > 1]
    if not groups:
        return []
    frame = GateFrame(net, domain)
    rows = sorted({i for g in groups for i in g})
    at = {index: k for k, index in enumerate(rows)}
    forms = [
        frame.exact_forms(
            np.concatenate([np.ones(frame.n_domain, dtype=np.int8), row]), frame.n_domain + np.array(rows)
        )
        for row in signs
    ]
    found = []
    for group in groups:
        left = list(group)
        while left:
            first, *others = left
            left = []
            for other in others:
                ratio = _ratio([f[at[first]] for f in forms], [f[at[other]] for f in forms])
                if ratio is None:
                    left.append(other)
                    continue
                (block, i), (second, j) = net.neuron(first), net.neuron(other)
                kind = "duplicate" if ratio > 0 else "opposite"
                text = (
                    f"gate {j} of block {second}: reads {ratio} times what gate {i} of block {block} reads, everywhere"
                )
                same = block == second
                found.append(Finding(kind, second, (i, j) if same else (j,), True, text, "complex"))
    return found


def _ratio(first: list[Any], other: list[Any]) -> Fraction | None:
    """The number c with ``other = c first`` in all forms, or None."""
    ratio: Fraction | None = None
    for f, g in zip(first, other):
        for a, b in zip(f, g):
            if a == 0:
                if b != 0:
                    return None
            elif ratio is None:
                ratio = Fraction(b) / Fraction(a)
            elif b != ratio * a:
                return None
    return ratio or None


__all__ = ["gate_findings"]
