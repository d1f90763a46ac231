"""From region to region across walls, depth first, until every edge has a region on both sides.

Faces are found again by their sign vectors: each (gate, sign) has a random number of 128 bits, and the key of a face is
the sum over the gates. The sign vector of an edge or a vertex is that of the region with zeros where gates vanish, so a
key costs no more than the gates that vanish.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel
from ..rows import hash_row, probe
from .forms import (
    CHANGED,
    NONE,
    begin_crossing,
    cross,
    refresh,
)
from .polygons import BUFFER, EXTRAS, VERTICES, build

# why the walk stops
DONE, GROW, ASK_VERTEX, ASK_SIDE, BROKEN, TURN, FULL = range(7)
# what it does next
BUILD, NEXT, FORTH, BACK = range(4)
# control (16,): what is next, cells, vertices, edges, incidences, pool, moves, depth, crossings since the refresh,
# walls that were crossed, cells until the walk returns, refreshes
MODE, CELLS, CORNERS, EDGES, PLACES, POOL, MOVES, DEPTH, SINCE, CROSSINGS, QUOTA, REFRESHES = range(12)
# random (gates + sides, 3, 2) uint64; total (2,); levels (blocks,): sums over the gates of a block; level (n,)
Keys = namedtuple("Keys", "random total levels level")
# hash tables of indices, -1 empty; keys (cap, 2); point (cap, 3) x, y, error; values (cap, outputs + 1) with the
# largest error
Corners = namedtuple("Corners", "table keys point values")
# faces (cap, 6) int32: two corners, two regions, line, number of further gates; pool of these, and where they begin
# (cap,)
Edges = namedtuple("Edges", "table keys faces begin pool")
# ptr (cap + 1,); corners and edges around (places,); keys (cap, 2); prefix (cap, blocks); parent (cap,); change (cap,
# 2): part of moves (cap, 3) int32: gate, sign before, sign behind
Cells = namedtuple("Cells", "ptr corners edges keys prefix parent change moves")
Faces = namedtuple("Faces", "corners edges cells")
# stack (cap, 2): region, next edge of it; near (cap,) gates; target (gates,); moved (gates, 2); gamma (1,)
Work = namedtuple("Work", "stack near target moved gamma at")


@bare_kernel
def _find(table, store, new, keys, sign, near, m):
    """Number of the face where the ``m`` lines in ``near`` vanish besides what vanishes on the region, or -1 - (its
    free slot).

    Its key is written into row ``new`` of the store.
    """
    gates = keys.level.shape[0]
    h0, h1 = keys.total[0], keys.total[1]
    for i in range(m):
        g = near[i] if near[i] >= 0 else gates - 1 - near[i]
        s = sign[g] + 1 if g < gates else 2
        h0 += keys.random[g, 1, 0] - keys.random[g, s, 0]
        h1 += keys.random[g, 1, 1] - keys.random[g, s, 1]
    store[new, 0], store[new, 1] = h0, h1
    return probe(table, store, hash_row(store, new), store, new)


@bare_kernel
def set_keys(keys, sign):
    """Sums of all gates' numbers."""
    gates = keys.level.shape[0]
    keys.total[0] = keys.total[1] = np.uint64(0)
    keys.levels[:] = np.uint64(0)
    for line in range(keys.random.shape[0]):
        s = 2
        if line < gates:
            s = sign[line] + 1
            keys.levels[keys.level[line]] += keys.random[line, s, 0]
        keys.total[0] += keys.random[line, s, 0]
        keys.total[1] += keys.random[line, s, 1]


@bare_kernel
def _change_keys(keys, g, old, new):
    keys.levels[keys.level[g]] += keys.random[g, new + 1, 0] - keys.random[g, old + 1, 0]
    keys.total[0] += keys.random[g, new + 1, 0] - keys.random[g, old + 1, 0]
    keys.total[1] += keys.random[g, new + 1, 1] - keys.random[g, old + 1, 1]


@bare_kernel
def _add(near, n, line):
    for i in range(n):
        if near[i] == line:
            return n
    near[n] = line
    return n + 1


@bare_kernel
def _add_tagged(poly, tag, near, n):
    for i in range(poly.count[EXTRAS]):
        if poly.extra[i, 0] == tag:
            n = _add(near, n, poly.extra[i, 1])
    return n


@bare_kernel
def _emit(net, state, keys, poly, corners, edges, cells, work, control):
    """Write the polygon as a new region; BROKEN where an edge has two already."""
    form, sign = state.form, state.sign
    gates = state.slopes.shape[0]
    outputs = corners.values.shape[1] - 1
    n, cur = poly.count[VERTICES], poly.count[BUFFER]
    near = work.near
    region = control[CELLS]
    place = control[PLACES]
    for k in range(n):
        before = k - 1 if k else n - 1
        m = _add(near, 0, poly.line[cur, before])
        m = _add_tagged(poly, poly.tags[cur, before, 1], near, m)
        m = _add(near, m, poly.line[cur, k])
        m = _add_tagged(poly, poly.tags[cur, k, 1], near, m)
        m = _add_tagged(poly, poly.tags[cur, k, 0], near, m)
        v = control[CORNERS]
        found = _find(corners.table, corners.keys, v, keys, sign, near, m)
        if found < 0:
            corners.table[-1 - found] = v
            x, y, dx, dy = (
                poly.corner[cur, k, 0],
                poly.corner[cur, k, 1],
                poly.corner[cur, k, 2],
                poly.corner[cur, k, 3],
            )
            corners.point[v, 0], corners.point[v, 1], corners.point[v, 2] = x, y, max(dx, dy)
            worst = 0.0
            for o in range(outputs):
                a, b, e = form[0, gates + o], form[1, gates + o], form[3, gates + o]
                corners.values[v, o] = a * x + b * y + form[2, gates + o]
                bound = (e + (abs(a) + e) * dx + (abs(b) + e) * dy) * (1.0 + 1e-9)
                finite = bound < np.inf and abs(corners.values[v, o]) < np.inf
                worst = max(worst, bound) if finite else np.inf  # of NaN nothing is known
            corners.values[v, outputs] = worst
            found = v
            control[CORNERS] = v + 1
        cells.corners[place + k] = found
    for k in range(n):
        m = _add(near, 0, poly.line[cur, k])
        m = _add_tagged(poly, poly.tags[cur, k, 1], near, m)
        e = control[EDGES]
        found = _find(edges.table, edges.keys, e, keys, sign, near, m)
        if found < 0:
            edges.table[-1 - found] = e
            edges.faces[e, 0] = cells.corners[place + k]
            edges.faces[e, 1] = cells.corners[place + (k + 1 if k + 1 < n else 0)]
            edges.faces[e, 2], edges.faces[e, 3] = region, -1
            low = 0  # a side of the domain, else the gate of the earliest block
            for i in range(1, m):
                if near[low] >= 0 and (near[i] < 0 or net.level[near[i]] < net.level[near[low]]):
                    low = i
            near[0], near[low] = near[low], near[0]
            edges.faces[e, 4], edges.faces[e, 5] = near[0], m - 1
            edges.begin[e] = control[POOL]
            for i in range(1, m):
                edges.pool[control[POOL]] = near[i]
                control[POOL] += 1
            control[EDGES] = e + 1
            found = e
        elif edges.faces[found, 3] >= 0 or edges.faces[found, 2] == region:
            return BROKEN
        else:
            edges.faces[found, 3] = region
        cells.edges[place + k] = found
    cells.keys[region, 0], cells.keys[region, 1] = keys.total[0], keys.total[1]
    sofar = np.uint64(0)
    for l in range(cells.prefix.shape[1]):
        sofar += keys.levels[l]
        cells.prefix[region, l] = sofar
    cells.parent[region] = work.stack[control[DEPTH] - 1, 0] if control[DEPTH] else -1
    control[PLACES] = place + n
    control[CELLS] = region + 1
    cells.ptr[region + 1] = control[PLACES]
    work.stack[control[DEPTH], 0], work.stack[control[DEPTH], 1] = region, 0
    control[DEPTH] += 1
    return DONE


@bare_kernel
def _lacks_room(poly, corners, edges, cells, work, control):
    n = poly.count[VERTICES]
    pool = poly.count[EXTRAS] + n
    return (
        control[CELLS] + 2 >= cells.keys.shape[0]
        or control[PLACES] + n >= cells.corners.shape[0]
        or control[CORNERS] + n >= corners.keys.shape[0]
        or control[EDGES] + n >= edges.keys.shape[0]
        or control[POOL] + pool * n >= edges.pool.shape[0]
        or control[MOVES] + work.moved.shape[0] >= cells.moves.shape[0]
    )


@bare_kernel
def walk(net, state, keys, domain, poly, answers, faces, work, control, answer):
    """Go on until something is needed; see the words at the top for why it stops.

    answer: of ASK_SIDE, else NONE.
    """
    corners, edges, cells = faces
    sign = state.sign
    gamma = work.gamma[0]
    refresh_after = work.gamma[1]
    at = work.at
    near = work.near
    while True:
        mode = control[MODE]
        if mode == BUILD:
            if control[QUOTA] <= 0:
                return TURN
            hints = 0
            if control[DEPTH]:
                parent = work.stack[control[DEPTH] - 1, 0]
                for q in range(cells.ptr[parent], cells.ptr[parent + 1]):
                    near[hints] = edges.faces[cells.edges[q], 4]
                    hints += 1
            found = build(state.form, sign, domain, poly, answers, near, hints)
            if found == -1:
                return ASK_VERTEX
            if found == -2:
                return BROKEN
            if found < 0:
                return FULL
            if _lacks_room(poly, corners, edges, cells, work, control):
                return GROW
            answers.count[0] = 0
            answers.border.fits[:] = 0
            if _emit(net, state, keys, poly, corners, edges, cells, work, control) == BROKEN:
                return BROKEN
            control[QUOTA] -= 1
            control[MODE] = NEXT
        elif mode == NEXT:
            if control[DEPTH] == 0:
                return DONE
            top = control[DEPTH] - 1
            region = work.stack[top, 0]
            q = cells.ptr[region] + work.stack[top, 1]
            chosen = -1
            while q < cells.ptr[region + 1]:
                e = cells.edges[q]
                q += 1
                if edges.faces[e, 3] < 0 and edges.faces[e, 4] >= 0:
                    chosen = e
                    break
            work.stack[top, 1] = q - cells.ptr[region]
            if chosen >= 0:
                m = 1
                near[0] = edges.faces[chosen, 4]
                for i in range(edges.faces[chosen, 5]):
                    near[m] = edges.pool[edges.begin[chosen] + i]
                    m += 1
                begin_crossing(net, state, at, near, m, near[0], 0)
                control[MODE] = FORTH
            else:
                control[DEPTH] -= 1
                if control[DEPTH] == 0:
                    return DONE
                first, count = cells.change[region, 0], cells.change[region, 1]
                for i in range(count):
                    near[i] = cells.moves[first + i, 0]
                    work.target[near[i]] = cells.moves[first + i, 1]
                begin_crossing(net, state, at, near, count, -1, 1)
                control[MODE] = BACK
        else:
            if cross(net, state, at, work.target, work.moved, gamma, answer) < 0:
                return ASK_SIDE
            answer = NONE
            control[CROSSINGS] += 1
            for i in range(at[CHANGED]):
                g = work.moved[i, 0]
                _change_keys(keys, g, work.moved[i, 1], sign[g])
            if mode == FORTH:
                region = control[CELLS]  # the one that is built next
                cells.change[region, 0], cells.change[region, 1] = control[MOVES], at[CHANGED]
                for i in range(at[CHANGED]):
                    m = control[MOVES]
                    g = work.moved[i, 0]
                    cells.moves[m, 0], cells.moves[m, 1], cells.moves[m, 2] = g, work.moved[i, 1], sign[g]
                    control[MOVES] = m + 1
            control[MODE] = BUILD if mode == FORTH else NEXT
            control[SINCE] += 1
            if control[SINCE] >= refresh_after:
                control[SINCE] = 0
                control[REFRESHES] += 1
                refresh(net, state, 0, gamma, 0.0, 0.0, False, NONE)


@bare_kernel
def signs_on(parent, change, moves, regions, path, signs):
    """Signs of gates on regions, from those of the first one, which are in every row; path (cells,) scratch."""
    for i in range(regions.shape[0]):
        at, n = regions[i], 0
        while parent[at] >= 0:
            path[n] = at
            n += 1
            at = parent[at]
        for k in range(n - 1, -1, -1):
            first, count = change[path[k], 0], change[path[k], 1]
            for m in range(first, first + count):
                signs[i, moves[m, 0]] = moves[m, 2]
