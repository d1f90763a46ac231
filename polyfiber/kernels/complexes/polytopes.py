"""All regions as polytopes at once: incidences over the closure, walls of facets, volumes by pyramids."""

from __future__ import annotations

import numpy as np

from ..jit import kernel, trailing_zeros

ONE = np.uint64(1)
ZERO = np.uint64(0)


@kernel
def gather_closure(face_ptr, face_idx, lower_ptr, lower_idx, stamp, out_ptr, out):
    """Union of the members of the facets of every face, each once and ascending.

    face_ptr, face_idx: CSR of facets of each face; lower_ptr, lower_idx: CSR of members of each facet;
    stamp: (members,) int64, all below zero; out_ptr: (faces + 1,); out: rows are written while they fit.
    Returns the number of entries, also beyond the capacity of ``out``.
    """
    m = 0
    out_ptr[0] = 0
    for f in range(face_ptr.shape[0] - 1):
        begin = m
        for e in range(face_ptr[f], face_ptr[f + 1]):
            g = face_idx[e]
            for i in range(lower_ptr[g], lower_ptr[g + 1]):
                k = lower_idx[i]
                if stamp[k] != f:
                    stamp[k] = f
                    if m < out.shape[0]:
                        out[m] = k
                    m += 1
        out_ptr[f + 1] = m
        if m <= out.shape[0]:
            out[begin:m].sort()
    return m


@kernel
def incident_walls(ptr, facets, low, planes, lower, n_domain, n_bits, walls):
    """A facet id that vanishes on each facet of a region and not on the region: walls (entries of the rows,).

    ptr: (m + 1,) row ends of ``facets``, counted from ``ptr[0]``; row i belongs to region low + i.
    planes, lower: bit planes of the regions and of their facets. Neurons before domain facets, the
    shallowest first: its form is the same on both sides.
    """
    W = planes.shape[1] // 2
    for i in range(ptr.shape[0] - 1):
        r = low + i
        for e in range(ptr[i] - ptr[0], ptr[i + 1] - ptr[0]):
            g = facets[e]
            first = -1
            domain = -1
            for w in range(W):
                m = (planes[r, w] | planes[r, W + w]) & ~(lower[g, w] | lower[g, W + w])
                while m != ZERO:
                    k = (w << 6) + np.int64(trailing_zeros(m))
                    m &= m - ONE
                    if k >= n_bits:
                        break
                    if k >= n_domain:
                        first = k
                        break
                    if domain < 0:
                        domain = k
                if first >= 0:
                    break
            walls[e] = first if first >= 0 else domain


@kernel
def pyramids(dim, ptr, facets, lower, vertex_planes, apex, points, lower_apex, lower_basis, lower_size, size, basis):
    """Volumes of bounded faces from those of their facets: a pyramid over each facet that avoids the apex.

    ptr, facets: CSR of facets; lower: their bit planes; vertex_planes: those of the vertices.
    apex, lower_apex: a vertex of every face and of every facet; points: (vertices, n).
    lower_basis: (facets, dim - 1, n) orthonormal; lower_size: their volumes.
    size: (faces,) inf where unbounded, overwritten elsewhere; basis: (faces, dim, n), written.
    A height within 1e-300 of zero adds nothing. For vertices, dim = 1.
    """
    n = points.shape[1]
    W = lower.shape[1]
    rest = np.empty(n)
    best = np.empty(n)
    for f in range(ptr.shape[0] - 1):
        if size[f] == np.inf:
            continue
        a = apex[f]
        total = 0.0
        highest = 0.0
        base = -1
        for e in range(ptr[f], ptr[f + 1]):
            g = facets[e]
            inside = True
            for w in range(W):
                if vertex_planes[a, w] & ~lower[g, w]:
                    inside = False
                    break
            if inside:
                continue
            b = lower_apex[g]
            for c in range(n):
                rest[c] = points[a, c] - points[b, c]
            for _ in range(2):  # the second time removes what rounding left of the first
                for k in range(dim - 1):
                    t = 0.0
                    for c in range(n):
                        t += rest[c] * lower_basis[g, k, c]
                    for c in range(n):
                        rest[c] -= t * lower_basis[g, k, c]
            top = 0.0
            for c in range(n):
                top = max(top, abs(rest[c]))
            if top <= 1e-300:
                continue
            square = 0.0
            for c in range(n):
                square += (rest[c] / top) ** 2
            height = top * np.sqrt(square)
            total += height * lower_size[g]
            if height > highest:
                highest = height
                base = g
                for c in range(n):
                    best[c] = rest[c]
        size[f] = total / dim
        if base >= 0:
            for k in range(dim - 1):
                for c in range(n):
                    basis[f, k, c] = lower_basis[base, k, c]
            for c in range(n):
                basis[f, dim - 1, c] = best[c] / highest
