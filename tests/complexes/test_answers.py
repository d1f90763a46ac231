"""What a complex answers with, as plain values."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.answers import DualGraph, HRepresentation, Lipschitz, VRepresentation

CX = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0))


def test_a_constant_is_a_number_with_its_place() -> None:
    found = Lipschitz(2.5, 3, 2.0)
    assert float(found) == 2.5
    assert "error" not in repr(found)
    assert found == Lipschitz(2.5, 3, 2.0)


def test_the_graph_of_regions_is_that_of_their_signs() -> None:
    """Regions are neighbours where their signs differ in one place, which is zero on the facet between them."""
    graph: DualGraph = CX.dual_graph
    found = graph.to_networkx()
    signs, facets = CX.signs(2), CX.signs(1)
    expected = nx.Graph()
    expected.add_nodes_from(range(CX.n_regions))
    expected.add_edges_from((i, j) for i in range(len(signs)) for j in range(i) if (signs[i] != signs[j]).sum() == 1)
    assert set(map(frozenset, found.edges)) <= set(map(frozenset, expected.edges))
    for a, b, facet in found.edges.data("facet"):
        (column,) = np.flatnonzero(signs[a] != signs[b])
        assert facets[facet][column] == 0
    assert found.number_of_edges() == CX.f_vector[1]
    assert nx.is_connected(found)


def test_arrays_of_answers_cannot_be_changed() -> None:
    inequalities, points = CX.h_representation(0), CX.v_representation(0)
    assert isinstance(inequalities, HRepresentation)
    assert isinstance(points, VRepresentation)
    for array in (inequalities.A, points.vertices):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1.0
    assert "\n" not in repr(inequalities) + repr(points)


def test_affine_maps_have_names_and_a_short_repr() -> None:
    for maps in (CX.affine_maps(), pf.region(CX.network, [0.0, 0.0]).affine_map):
        A, a = maps
        assert A is maps.A
        assert a is maps.a
        assert len(repr(maps)) <= 200
        assert repr(maps).startswith("AffineMaps(A=array ")
    walk = pf.slice_through(CX.network, [0.0, 0.0], [1.0, 0.0], [0.0, 1.0])
    there = walk.affine_maps([0])
    assert repr(there) == "SliceMaps(A=array 1x1x2, a=array 1x1, bound=array 1x1)"
    assert len(there) == 3
