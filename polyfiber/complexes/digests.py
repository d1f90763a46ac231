"""Digests by which files say what they are about: a network, a domain, and all of their own contents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._typing import Array
from ..domain import Box, Polyhedron
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork
from ..network.sparse import SparseMatrix
from ..numerics.digits import text_of


def network_digest(network: ReLUNetwork | PiecewiseLinearNetwork) -> str:
    """SHA-256 of architecture and parameters as given.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.complexes.digests import network_digest
    >>> net = pf.ReLUNetwork([[[1.0]]], [[0.0]])
    >>> len(network_digest(net)), network_digest(net) == network_digest(net.exact())
    (64, False)
    """
    state = hashlib.sha256(repr(network.architecture).encode())
    if isinstance(network, PiecewiseLinearNetwork):
        for affine in (*(block.affine for block in network.blocks), network.output):
            for j, matrix in affine.weights.items():
                sparse = SparseMatrix.of(matrix)  # how a matrix is stored does not matter
                state.update(repr((j, sparse.shape)).encode() + sparse.indptr.tobytes() + sparse.indices.tobytes())
                _add(state, sparse.data)
            _add(state, affine.bias)
        for block in network.blocks:
            _add(state, block.slopes)
        return state.hexdigest()
    for array in (*network.weights, *network.biases):
        _add(state, array)
    return state.hexdigest()


def domain_digest(domain: Polyhedron | None) -> str:
    """SHA-256 of a domain as given; a box and the same polyhedron are two."""
    if domain is None:
        return hashlib.sha256(b"all").hexdigest()
    arrays = (domain.lo, domain.hi) if isinstance(domain, Box) else (domain.A, domain.b)
    state = hashlib.sha256(repr((type(domain).__name__, [a.shape for a in arrays])).encode())
    for array in arrays:
        _add(state, array)
    return state.hexdigest()


def _add(state: Any, array: Array) -> None:
    if array.dtype == object:
        state.update(repr([text_of(v) for v in array.ravel()]).encode())
    else:
        state.update(array.astype("<f8").tobytes())


def content_digest(store: Mapping[str, Array]) -> str:
    """SHA-256 of named arrays: names, types, shapes and values."""
    state = hashlib.sha256()
    for name in sorted(store):
        array = np.ascontiguousarray(store[name])
        state.update(repr((name, array.dtype.kind, array.shape)).encode())
        texts = array.dtype.kind == "U"
        state.update(
            "\n".join(array.ravel().tolist()).encode()
            if texts
            else array.astype(array.dtype.newbyteorder("<")).tobytes()
        )
    return state.hexdigest()


__all__ = ["content_digest", "domain_digest", "network_digest"]
