"""All regions as polytopes at once: incidences over the closure, walls of facets, volumes by pyramids."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import kernel, trailing_zeros
from ..rounding import TINY, UNIT

ONE = np.uint64(1)
ZERO = np.uint64(0)
EPS = 2.0 * UNIT
SLOP = 1.0 + 1e-9
# volume forms (faces, C(n, dim)), each entry within its bound (faces,)
Volumes = namedtuple("Volumes", "form bound")


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
def pyramids(dim, ptr, facets, planes, apexes, points, errors, minors, lower, upper):
    """Oriented volumes of faces, as vectors of minors, from those of their facets: pyramids over those that avoid the
    apex.

    The volume form of a k-face is the k-vector ``v_1 ^ ... ^ v_k`` of its directions with the volume as its length: the
    volumes of its projections to every k coordinates, signed. That of a pyramid is ``(b - a) ^ form of the base / k``,
    b any point of the base. Nothing is divided, so a face thinner than rounding has a small error, not a wrong
    direction.

    ptr, facets: CSR of facets; planes: bit planes of the facets and of the vertices; apexes: a vertex of every face and
    of every facet; points: (vertices, n), each coordinate within errors (vertices,). minors: (C(n, dim), dim) twice,
    first[J, p] is the set J without its p-th element second[J, p], as a number. lower, upper: `Volumes` of the facets,
    and of the faces, to be written; a bound is infinite for a face that is not bounded, whose facets may be anything,
    where it is so on entry.
    """
    base_planes, vertex_planes = planes
    apex, lower_apex = apexes
    minor, axis = minors
    lower_form, lower_bound = lower
    form, bound = upper
    n = points.shape[1]
    W = base_planes.shape[1]
    entries = form.shape[1]
    most = 1
    for f in range(ptr.shape[0] - 1):
        most = max(most, ptr[f + 1] - ptr[f])
    part = np.empty((most, entries))
    slack = np.empty(most)
    d = np.empty(n)
    for f in range(ptr.shape[0] - 1):
        for j in range(entries):
            form[f, j] = 0.0
        if bound[f] == np.inf:
            continue
        a = apex[f]
        m = 0
        best = 0
        highest = -1.0
        for e in range(ptr[f], ptr[f + 1]):
            g = facets[e]
            inside = True
            for w in range(W):
                if vertex_planes[a, w] & ~base_planes[g, w]:
                    inside = False
                    break
            if inside:
                continue
            b = lower_apex[g]
            length = 0.0
            for c in range(n):
                d[c] = points[b, c] - points[a, c]
                length += abs(d[c])
            off = errors[a] + errors[b] + EPS * length
            size = 0.0
            for j in range(lower_form.shape[1]):
                size = max(size, abs(lower_form[g, j]))
            top = 0.0
            for j in range(entries):
                t = 0.0
                for p in range(dim):
                    u = d[axis[j, p]] * lower_form[g, minor[j, p]]
                    t += u if p & 1 == 0 else -u
                part[m, j] = t
                top = max(top, abs(t))
            low = lower_bound[g]
            slack[m] = (length * (low + (dim + 1) * EPS * size) + dim * off * (size + low)) * SLOP + TINY
            if top - slack[m] > highest:
                highest = top - slack[m]
                best = m
            m += 1
        error = 0.0
        reference = 0.0
        for j in range(entries):
            reference += abs(part[best, j]) if m else 0.0
        for i in range(m):
            t = 0.0
            size = 0.0
            top = 0.0
            for j in range(entries):
                t += part[i, j] * part[best, j]
                size += abs(part[i, j])
                top = max(top, abs(part[i, j]))
            # all have one direction: the sign of a product with the clearest tells which way it points
            doubt = (
                reference * slack[i] + size * slack[best] + entries * (slack[i] * slack[best] + EPS * reference * top)
            )
            error += slack[i] + 2.0 * EPS * m * top
            if i != best and not abs(t) > doubt * SLOP + TINY:
                error += 2.0 * (top + slack[i])
            for j in range(entries):
                form[f, j] += part[i, j] if t >= 0.0 else -part[i, j]
        error = error / dim * SLOP
        for j in range(entries):
            form[f, j] /= dim
            error += EPS * abs(form[f, j])
        bound[f] = error + TINY if error < np.inf else np.inf
