"""The 1-skeleton of a simple polyhedral complex, cut by one bent hyperplane at a time.

A vertex is the set of its n zero facets ("slots") and the signs of all others; each slot has
a negative and a positive edge. Every edge has two ends: a ray ends in a vertex at infinity, which
has infinity among its facets. Cutting by a neuron creates one vertex on each edge whose ends have
opposite signs; the new edges are found by walking around the 2-faces on the negative side, or, past
infinity, on the positive one; where both ways lead to infinity there is a new ray. No hash, no
tolerance: the walk only follows identities of facets.

Edges are oriented on the way, by a function that is bounded below on every face and constant on none
(`complexes.skeleton.orientation`): the parts of an edge go where it went, a new edge is compared at its ends.

Ids of facets: domain facets, then hidden neurons layer by layer, then infinity (``net.inf``).
A half-edge is ``vertex << shift | 2 * slot + side``; side 1 is positive.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, inline_kernel, outlined_kernel, prefetch, trailing_zeros
from ..lanes import equal16, reach16
from ..rounding import TINY, UNIT
from .forms import (
    INF,
    ONE,
    SLOP,
    UNDERFLOW,
    ZERO,
    affine_form,
    bit_of,
    clear_bit,
    exceeds,
    form_size,
    form_value,
    on_listed,
    set_bit,
    set_height,
    sign_at,
    slopes_vanish,
    solve,
    value_bound,
    worst,
)

SIXTEEN = np.uint64(16)
SIX = np.uint64(6)
LOW = np.uint64(63)

# what is cut. closed: what lies outside of each facet: 0 neither side, 1 its negative side, 2 its positive side; flat:
# the star columns as one int32 array with a record every ``row`` entries; net, st, lift as in `forms`; pending: (1, W)
# bits of the neurons that are still to cut; etol: relative error above which a vertex is solved directly
Cut = namedtuple("Cut", "closed flat row net st lift pending etol")
# lists that grow: half-edges that wait for the wall; half-edges not oriented yet; new rays, by the half-edge of the
# wall, and the ends of the two rays that each lies between
Lists = namedtuple("Lists", "edges level rays ray_a ray_b")
# pairs without a certified sign, their signs once found, and how signs were decided: filtered, by ranks, after a direct
# solve
Unsure = namedtuple("Unsure", "vertices facets signs counts")
# chunks of 64 half-edges, chained by link; of each neuron the first chunk and how full it is; free: first free chunk,
# and how many
Buckets = namedtuple("Buckets", "chunks link head fill free")


@inline_kernel
def next_cut(u, w, words, pending):
    """Lowest pending neuron whose signs at u and w differ, or -1."""
    for wi in range(pending.shape[1]):
        m = (words[u, wi] ^ words[w, wi]) & pending[0, wi]
        if m != ZERO:
            return (wi << 6) + np.int64(trailing_zeros(m))
    return -1


@inline_kernel
def push(k, half, bk):
    """Put a half-edge into the bucket of neuron k (chunks of 64)."""
    chunks, link, head, fill, free = bk
    c = head[k]
    if c < 0 or fill[k] == chunks.shape[1]:
        new = free[0]
        free[0] = link[new]
        free[1] -= 1
        link[new] = c
        head[k] = new
        fill[k] = 0
        c = new
    chunks[c, fill[k]] = half
    fill[k] += 1


@inline_kernel
def chunks_short(pushes, bk):
    """How many chunks are missing so that so many pushes surely fit; not positive if none."""
    chunks, link, head, fill, free = bk
    return pushes // chunks.shape[1] + head.shape[0] + 2 - free[1]


@bare_kernel
def bucket_size(k, bk):
    chunks, link, head, fill, free = bk
    c = head[k]
    if c < 0:
        return 0
    m = fill[k]
    c = link[c]
    while c >= 0:
        m += chunks.shape[1]
        c = link[c]
    return m


@outlined_kernel
def take(k, bk, out):
    """Empty bucket k into out, what came first first; returns how many."""
    chunks, link, head, fill, free = bk
    size = bucket_size(k, bk)
    m = size
    c = head[k]
    count = fill[k]
    while c >= 0:
        m -= count
        for i in range(count):
            out[m + i] = chunks[c, i]
        after = link[c]
        link[c] = free[0]
        free[0] = c
        free[1] += 1
        c = after
        count = chunks.shape[1]
    head[k] = -1
    fill[k] = 0
    return size


@bare_kernel
def push_all(nv, net, st, pending, sizes, bk, count_only):
    """Push every edge into the bucket of its first pending neuron (or only count)."""
    n, shift = net.n, net.shift
    star, words = st.star, st.words
    mask = (1 << shift) - 1
    for v in range(nv):
        for h in range(2 * n):
            t = star[v, h]
            w = t >> shift
            if t >= 0 and (v < w or (v == w and h < (t & mask))):
                k = next_cut(v, w, words, pending)
                if k >= 0:
                    if count_only:
                        sizes[k] += 1
                    else:
                        push(k, (v << shift) | h, bk)


@inline_kernel
def ask_for_all(flat, v, row):
    """Ask for every line of a record ahead of time."""
    at = v * row
    for line in range(at, at + row, SIXTEEN):
        prefetch(flat, line)
    prefetch(flat, at + row - ONE)


@inline_kernel
def edge_error(v, here, slot, line_err, err):
    """Error of vertex v as a point of the line of its edge in a slot."""
    return line_err[v] if here >= 0 and slot[v] == here else err[v]


@outlined_kernel
def cut_edges(i, rays, lists, ne, cursor, cut, unsure, work):
    """Create the vertices of neuron i on the waiting edges, or the ends of its new rays; decides their pending signs.

    Edge e, from where the cursor stands to ne, gets vertex nv + e. With ``rays``, edges are the half-edges of the wall
    that lead to infinity inside an unbounded polygon, and ray_a, ray_b the ends of that polygon's two rays, between
    which the new one lies. Nothing of the old skeleton changes but refined coordinates, so the call can be repeated.
    Returns (unsure pairs, vertices at infinity).
    """
    _, flat, row, net, st, lift, pending, etol = cut
    unsure_v, unsure_k, _, counts = unsure
    form, form2, cur, nxt = work.form, work.form2, work.cur, work.nxt
    ray_a, ray_b = lists.ray_a, lists.ray_b
    edges = lists.rays if rays else lists.edges
    first_edge, nv, n_inf = cursor[START], cursor[NV], cursor[N_INF]
    n, shift, inf, kappa, drift, inflate = net.n, net.shift, net.inf, net.margins.kappa, net.margins.drift, net.margins.inflate
    star, words, x, err, slot, line_err = st.star, st.words, st.x, st.err, st.slot, st.line_err
    at_inf, base, base_err, up, height = st.at_inf, st.base, st.base_err, st.up, st.height
    mask = (1 << shift) - 1
    W = words.shape[1]
    n_unsure = 0
    for e in range(first_edge, ne):
        if rays:  # records lie at random places: ask for them ahead of time
            if e + 6 < ne:
                ask_for_all(flat, np.uint64(ray_a[e + 6]), row)
                ask_for_all(flat, np.uint64(ray_b[e + 6]), row)
                ask_for_all(flat, np.uint64(edges[e + 6] >> shift), row)
        elif e + 12 < ne:
            ask_for_all(flat, np.uint64(edges[e + 12] >> shift), row)
            h = edges[e + 5]
            ask_for_all(flat, np.uint64(star[h >> shift, h & mask] >> shift), row)
        v = nv + e
        h = edges[e]
        source = h >> shift
        p = (h & mask) >> 1
        side = h & 1
        m = star[source, 2 * n + p]
        for wi in range(W):
            words[v, wi] = words[source, wi]
        if side == 1 and m != inf:
            set_bit(words, v, m)
        clear_bit(words, v, i)
        for s in range(n):
            star[v, 2 * n + s] = star[source, 2 * n + s]
            star[v, 2 * s] = -1
            star[v, 2 * s + 1] = -1
        at_inf[v] = -1
        if rays:
            u = ray_a[e]
            w = ray_b[e]
            for wi in range(W):  # what is still to cut may do so between the source and infinity
                words[v, wi] = (words[v, wi] & ~pending[0, wi]) | (words[u, wi] & pending[0, wi])
            star[v, 2 * n + p] = inf
            slot[v] = n  # no slot: nothing is known of its error but the whole
            near_slot = -2
            far_slot = -2
        else:
            u = source
            w = star[u, h & mask] >> shift
            star[v, 2 * n + p] = i
            slot[v] = p
            near_slot = p
            far_slot = (star[u, h & mask] & mask) >> 1
        inf_u = at_inf[u] >= 0
        inf_w = at_inf[w] >= 0
        affine_form(i, words, v, net, form, cur, nxt)
        both = rays
        fin = u
        far = w
        if inf_u and not inf_w:
            fin = w
            far = u
        near_hom = 0.0 if both else 1.0
        far_hom = 0.0 if (inf_u or inf_w) else 1.0
        # first as points of the edge's line; if a value is then too close to zero, as themselves
        ea = edge_error(fin, near_slot if fin == u else far_slot, slot, line_err, err)
        eb = edge_error(far, near_slot if far == u else far_slot, slot, line_err, err)
        size = form_size(form, n)
        za = form_value(form, x, fin, near_hom, n)
        zb = form_value(form, x, far, far_hom, n)
        ba = value_bound(i, kappa, drift, inflate, size, x, fin, ea, near_hom, n)
        bb = value_bound(i, kappa, drift, inflate, size, x, far, eb, far_hom, n)
        if exceeds(za, ba) and exceeds(zb, bb) and (za > 0.0) != (zb > 0.0):
            za = abs(za)
            zb = abs(zb)
        else:
            # a value within its bound has the right sign by construction, but maybe not as computed
            ea = err[fin]
            eb = err[far]
            ba = value_bound(i, kappa, drift, inflate, size, x, fin, ea, near_hom, n)
            bb = value_bound(i, kappa, drift, inflate, size, x, far, eb, far_hom, n)
            za = abs(za)
            zb = abs(zb)
            if not exceeds(za, ba):
                ba = 2.0 * ba if za < INF else INF
                za = 0.0
                if both and slopes_vanish(fin, i, net, st, cur):
                    ba = 0.0
            if not exceeds(zb, bb):
                bb = 2.0 * bb if zb < INF else INF
                zb = 0.0
                if both and slopes_vanish(far, i, net, st, cur):
                    bb = 0.0
        scale = 0.0
        span = 0.0
        direct = False
        if near_hom == far_hom:
            some = 0.0 < za + zb < INF
            t = za / (za + zb) if some else 0.5
            dt = worst(ba, bb) / (za + zb) * SLOP + 4 * UNIT if some else 1.0
            if both and ba == 0.0:  # a slope that is exactly zero: the new ray is parallel to this one
                t = 0.0
                dt = 0.0
            elif both and bb == 0.0:
                t = 1.0
                dt = 0.0
            if not dt <= 1.0:
                dt = 1.0
            for c in range(n):
                d = x[far, c] - x[fin, c]
                x[v, c] = x[fin, c] + t * d
                span = max(span, abs(d))
                scale = max(scale, abs(x[fin, c]) + abs(x[far, c]))
            line = (worst(ea, eb) + 8 * UNIT * scale) * SLOP + TINY
        else:
            t = za / zb if zb > 0.0 else 1.0
            dt = (ba + t * bb) / (zb - bb) * SLOP + 4 * UNIT * t + UNDERFLOW if zb > bb else INF
            for c in range(n):
                d = x[far, c]
                x[v, c] = x[fin, c] + t * d
                span = max(span, abs(d))
                scale = max(scale, abs(x[fin, c]) + t * abs(d))
            line = (ea + (t + dt) * eb + 8 * UNIT * scale) * SLOP + TINY
        error = (line + dt * span) * SLOP
        sound = error < INF  # all that it was made of is finite then, the coordinates too
        line_err[v] = line if sound else INF
        err[v] = error if sound else INF
        if both:
            b = n_inf
            n_inf += 1
            at_inf[v] = b
            base_err[b] = err[source]  # the source lies on the ray
            for c in range(n):
                base[b, c] = x[source, c]
            # a slope that may be zero: the weights of the combination are unknown, the direct solve corrects them
            direct = (za == 0.0 and ba > 0.0) or (zb == 0.0 and bb > 0.0)
            norm = 0.0
            for c in range(n):
                norm = max(norm, abs(x[v, c]))
            if norm < 0.25:  # nearly opposite rays
                direct = True
                for c in range(n):
                    x[v, c] /= norm
        if direct or not err[v] <= etol * (far_hom + scale):
            solve(v, net, st, work)
            counts[2] += 1
        for wi in range(W):
            diff = (words[u, wi] ^ words[w, wi]) & pending[0, wi]
            while diff != ZERO:
                j = (wi << 6) + trailing_zeros(diff)
                diff &= diff - ONE
                if j == i:
                    continue
                s = 0
                if not direct:
                    affine_form(j, words, v, net, form2, cur, nxt)
                    ya = form_value(form2, x, fin, near_hom, n)
                    yb = form_value(form2, x, far, far_hom, n)
                    size = form_size(form2, n)
                    ca = value_bound(j, kappa, drift, inflate, size, x, fin, ea, near_hom, n)
                    cb = value_bound(j, kappa, drift, inflate, size, x, far, eb, far_hom, n)
                    if near_hom == far_hom:
                        y = ya + t * (yb - ya)
                        c = worst(ca, cb) + dt * abs(yb - ya) + 8 * UNIT * (abs(ya) + abs(yb))
                    else:
                        y = ya + t * yb
                        c = ca + t * cb + dt * (abs(yb) + cb) + 8 * UNIT * (abs(ya) + t * abs(yb))
                    c = c * SLOP + TINY
                    if exceeds(y, c):
                        s = 1 if y > 0 else -1
                if s == 0 and (rays or slot[v] < 0):  # by the value where the slope is zero by ranks
                    s = sign_at(v, j, net, st, form2, cur, nxt)
                if s == 0 and slot[v] >= 0:
                    solve(v, net, st, work)
                    counts[2] += 1
                    s = sign_at(v, j, net, st, form2, cur, nxt)
                if s == 0:
                    if n_unsure < unsure_v.shape[0]:
                        unsure_v[n_unsure] = v
                        unsure_k[n_unsure] = j
                    n_unsure += 1
                else:
                    counts[0 if abs(s) == 1 else 1] += 1
                    if s > 0:
                        set_bit(words, v, j)
                    else:
                        clear_bit(words, v, j)
        for wi in range(up.shape[1]):
            up[v, wi] = ZERO
        if rays:
            height[v, 0] = INF
            height[v, 1] = INF
        else:
            set_height(v, n, lift, x, err[v], height)
    return n_unsure, n_inf


@inline_kernel
def slot_of(flat, at_ids, n, k):
    """Slot of facet k in the record whose facet ids start at ``at_ids``; n or more if there is none."""
    block = ZERO
    found = equal16(flat, at_ids, k)
    while found == ZERO and block + SIXTEEN < n:
        block += SIXTEEN
        found = equal16(flat, at_ids + block, k)
    return block + trailing_zeros(found)


@inline_kernel
def ask_for(flat, at):
    """Prefetch what walks read of a record: its star and index at infinity."""
    prefetch(flat, at)
    prefetch(flat, at + SIXTEEN)


@inline_kernel
def orient(v, mine, w, theirs, shift, up, height, level, n_level):
    """Orient a new edge between finite vertices, or list it; returns how many are listed."""
    rise = height[w, 0] - height[v, 1]
    fall = height[v, 0] - height[w, 1]
    up[v, mine >> SIX] |= np.uint64(rise > 0.0) << (mine & LOW)
    up[w, theirs >> SIX] |= np.uint64(fall > 0.0) << (theirs & LOW)
    if not max(rise, fall) > 0.0:
        level[n_level] = (v << shift) | mine
        n_level += 1
    return n_level


@outlined_kernel
def splice(i, ne, nv, cut, bk, lists, n_level):
    """Insert the new vertices into the edges that they cut; join those whose edges meet at a vertex.

    Two edges at a vertex span a polygon, and when both are cut, so is the polygon: no need to walk around it.
    Pending must no longer hold i. Returns how many half-edges are not oriented yet, n_level of them before.
    """
    closed, flat, row, net, st, _, pending, _ = cut
    edges, level = lists.edges, lists.level
    n = np.uint64(net.n)
    shift = np.uint64(net.shift)
    mask = (ONE << shift) - ONE
    two_n = n + n
    words = st.words
    up = st.up
    height = st.height
    bound = np.int32(nv << net.shift)
    for e in range(ne):
        if e + 12 < ne:  # records lie at random places: ask for them ahead of time
            h = np.uint64(edges[e + 12])
            ask_for(flat, (h >> shift) * row)
            h = np.uint64(edges[e + 6])
            ask_for(flat, (np.uint64(flat[(h >> shift) * row + (h & mask)]) >> shift) * row)
        v = np.uint64(nv + e)
        at_v = v * row
        h = np.uint64(edges[e])
        u = h >> shift
        p = (h & mask) >> ONE
        t = np.uint64(flat[u * row + (h & mask)])
        at_u = bit_of(words, u, i)
        flat[at_v + p + p + at_u] = np.int32(h)
        flat[at_v + p + p + ONE - at_u] = np.int32(t)
        flat[u * row + (h & mask)] = np.int32((v << shift) | (p + p + at_u))
        flat[(t >> shift) * row + (t & mask)] = np.int32((v << shift) | (p + p + ONE - at_u))
        rises = bit_of(up, u, h & mask)
        falls = bit_of(up, t >> shift, t & mask)
        even = (p + p) & LOW
        up[v, (p + p) >> SIX] |= (rises << (even + ONE - at_u)) | (falls << (even + at_u))
        if rises | falls == ZERO:
            level[n_level] = np.int32((v << shift) | (p + p))
            level[n_level + 1] = np.int32((v << shift) | (p + p + ONE))
            n_level += 2
        for here in (h, t):
            x = here >> shift
            at_x = x * row
            a = (here & mask) >> ONE
            side = here & ONE
            facet = flat[at_x + two_n + a]
            for block in range(ZERO, two_n, SIXTEEN):
                cut = reach16(flat, at_x + block, bound) & ((ONE << min(two_n - block, SIXTEEN)) - ONE)
                while cut != ZERO:
                    h2 = block + trailing_zeros(cut)
                    cut &= cut - ONE
                    if h2 >> ONE == a:
                        continue
                    y = np.uint64(flat[at_x + h2]) >> shift
                    mine = slot_of(flat, at_v + two_n, n, flat[at_x + two_n + (h2 >> ONE)])
                    mine += mine + (h2 & ONE)
                    theirs = slot_of(flat, y * row + two_n, n, facet)
                    theirs += theirs + side
                    own = np.int32((v << shift) | mine)
                    flat[at_v + mine] = np.int32((y << shift) | theirs)
                    flat[y * row + theirs] = own
                    n_level = orient(v, mine, y, theirs, shift, up, height, level, n_level)
                    j = next_cut(v, y, words, pending)
                    if j >= 0:
                        push(j, own, bk)
            s = at_u if x == u else ONE - at_u
            if (closed[i] >> s) & ONE == ZERO:
                j = next_cut(v, x, words, pending)
                if j >= 0:
                    push(j, np.int32((v << shift) | (p + p + s)), bk)
    return n_level


WALKS = 32


def walk_scratch(n):
    """Room for the walks that advance together."""
    return tuple(np.zeros(WALKS + 2 * n, dtype=t) for t in (np.uint64, np.uint64, np.int32, np.uint64, np.int64))


@outlined_kernel
def link_chords(i, low, high, cut, bk, walks, lists, n_rays, n_level):
    """Join the new vertices low <= v < high along the polygons they lie on, beyond what `splice` joined; push the new
    edges.

    Returns (walks that failed: 0, or the skeleton is inconsistent; new rays, after n_rays that are listed already;
    half-edges not oriented yet, after n_level).
    A walk on the negative side that reaches infinity goes on with the positive side; when that
    reaches infinity too, the wall leaves the polygon between its two rays: a new ray is listed.

    Many walks advance together, one polygon edge a round: the records lie at random places, and this way
    their cache misses overlap. Two may be under way between the same two vertices; the later one changes nothing.
    """
    closed, flat, row, net, st, _, pending, _ = cut
    ray_half, ray_a, ray_b, level = lists.rays, lists.ray_a, lists.ray_b, lists.level
    n = np.uint64(net.n)
    shift = np.uint64(net.shift)
    mask = (ONE << shift) - ONE
    two_n = n + n
    infinite = two_n + n + ONE  # column at_inf of a record
    words = st.words
    up = st.up
    height = st.height
    broken = 0
    wall = np.int32(i)
    last = np.uint64(high - 1)
    # of each walk: the half-edge it looks for a partner of, where it arrives, the facet that its last edge left and on
    # which side, and the vertex at infinity met on the negative side, or -1
    own, half, prev, prev_side, end = walks
    m = ZERO
    for v in range(np.uint64(low), np.uint64(high)):
        at_v = v * row
        p = slot_of(flat, at_v + two_n, n, wall)
        start = np.uint64(flat[at_v + p + p])
        ask_for(flat, (start >> shift) * row)
        for block in range(ZERO, two_n, SIXTEEN):
            free = ~reach16(flat, at_v + block, np.int32(0)) & ((ONE << min(two_n - block, SIXTEEN)) - ONE)
            while free != ZERO:
                h = block + trailing_zeros(free)
                free &= free - ONE
                k = flat[at_v + two_n + (h >> ONE)]
                if (closed[k] >> (h & ONE)) & ONE == ZERO:
                    own[m] = (v << shift) | h
                    half[m] = start
                    prev[m] = k
                    prev_side[m] = h & ONE
                    end[m] = -1
                    m += ONE
        while m >= np.uint64(WALKS) or (m > ZERO and v == last):
            kept = ZERO
            for w in range(m):
                mine = own[w]
                a = half[w]
                x = a >> shift
                at_x = x * row
                side = prev_side[w]
                out = slot_of(flat, at_x + two_n, n, prev[w])
                at = at_x + out + out + side
                here = flat[at_x + two_n + ((a & mask) >> ONE)]
                if flat[at_x + infinite] >= 0:
                    if end[w] >= 0:
                        ray_half[n_rays] = mine
                        ray_a[n_rays] = end[w]
                        ray_b[n_rays] = x
                        n_rays += 1
                        continue
                    at_own = (mine >> shift) * row
                    p = slot_of(flat, at_own + two_n, n, wall)
                    half[kept] = np.uint64(flat[at_own + p + p + ONE])
                    prev[kept] = flat[at_own + two_n + ((mine & mask) >> ONE)]
                    prev_side[kept] = mine & ONE
                    end[kept] = x
                elif out >= n:
                    broken += 1
                    continue
                elif here == wall:
                    at_own = (mine >> shift) * row + (mine & mask)
                    if flat[at] < 0 and flat[at_own] < 0:
                        flat[at_own] = np.int32((x << shift) | (out + out + side))
                        flat[at] = np.int32(mine)
                        theirs = out + out + side
                        n_level = orient(mine >> shift, mine & mask, x, theirs, shift, up, height, level, n_level)
                        j = next_cut(mine >> shift, x, words, pending)
                        if j >= 0:
                            push(j, np.int32(mine), bk)
                    elif flat[at] != np.int32(mine):
                        broken += 1
                    continue
                elif flat[at] < 0:
                    broken += 1
                    continue
                else:
                    half[kept] = np.uint64(flat[at])
                    prev[kept] = here
                    prev_side[kept] = a & ONE
                    end[kept] = end[w]
                ask_for(flat, (half[kept] >> shift) * row)
                own[kept] = mine
                kept += ONE
            m = kept
    return broken, n_rays, n_level


@outlined_kernel
def link_rays(halves, count, nv, net, st, pending, bk):
    """Hang the new ends at infinity on their half-edges; push the rays that later neurons cut."""
    star = st.star
    mask = (1 << net.shift) - 1
    for e in range(count):
        h = halves[e]
        v = h >> net.shift
        q = (h & mask) >> 1
        r = nv + e
        star[v, h & mask] = (r << net.shift) | (2 * q + 1)
        star[r, 2 * q + 1] = h
        set_bit(st.up, v, h & mask)
        j = next_cut(v, r, st.words, pending)
        if j >= 0:
            push(j, h, bk)


# where a cutting stands: entries of the cursor of `advance`. What a wall begins with, its vertices, its new rays and
# where among them the work is, what is there so far, edges not oriented yet, and how much room is asked for
AT, STAGE, SIZE, START, NV, N_INF, RAYS, UNSURE, LEVEL, BROKEN = range(10)
NEED_V, NEED_INF, NEED_PUSHES, NEED_EDGES, NEED_RAYS, NEED_LEVEL, CURSOR = range(10, 17)
BEGIN, CUT, LINK, RAY_CUT, END, LISTED = range(6)
DONE, ROOM, DECIDE, MORE_UNSURE, DROP, TICK = range(6)
PORTION = 1 << 15


@inline_kernel
def begin(k, cursor, edges, dead, shift, pending, bk):
    """Take what waits for wall k, without what was thrown away; True when there is room."""
    size = bucket_size(k, bk)
    cursor[NEED_EDGES] = size
    if size > edges.shape[0]:
        return False
    size = take(k, bk, edges)
    if dead.shape[0] > 0:
        kept = 0
        for e in range(size):
            edges[kept] = edges[e]
            source = edges[e] >> shift
            kept += 0 if source < dead.shape[0] and dead[source] else 1
        size = kept
    clear_bit(pending, 0, k)
    cursor[SIZE] = size
    cursor[START] = 0
    cursor[RAYS] = 0
    cursor[STAGE] = CUT
    return True


@bare_kernel
def advance(ids, cursor, dead, cut, bk, walks, lists, unsure, work):
    """Cut by the facets ``ids`` one after the other, from where the cursor stands, until something is to be done
    elsewhere.

    Signs of all ids must be known at every vertex, and every edge must lie in its bucket. Returns what is to be done:

    DONE         nothing: all are cut
    ROOM         make room: for NEED_V vertices, NEED_INF of them at infinity, NEED_PUSHES pushes, NEED_EDGES waiting
                 edges, NEED_RAYS new rays, NEED_LEVEL edges not oriented
    DECIDE       the first UNSURE listed pairs have no certified sign yet
    MORE_UNSURE  room for UNSURE listed pairs
    DROP         the wall at AT - 1 is cut, and one of its sides is to be thrown away
    TICK         nothing: it has been a while, or BROKEN polygons did not close

    Where the stage is LISTED or more, it does what `on_listed` does (the task comes on top) with all pairs of
    ``unsure``: here, because both need the same large parts, which are compiled once.
    """
    closed, net, st, pending = cut.closed, cut.net, cut.st, cut.pending
    counts = unsure.counts
    n = net.n
    if cursor[STAGE] >= LISTED:
        on_listed(cursor[STAGE] - LISTED, unsure.vertices, unsure.facets, net, st, unsure.signs, counts, work)
        return DONE
    done = 0
    while cursor[AT] < ids.shape[0]:
        k = ids[cursor[AT]]
        stage = cursor[STAGE]
        if done >= PORTION:
            return TICK
        if stage == BEGIN:
            done += 64
            if not begin(k, cursor, lists.edges, dead, net.shift, pending, bk):
                return ROOM
        elif stage in (CUT, RAY_CUT):
            rays = stage == RAY_CUT
            size = cursor[RAYS] if rays else cursor[SIZE]
            if cursor[START] == 0 and size > 0:
                cursor[NEED_V] = cursor[NV] + size
                cursor[NEED_INF] = cursor[N_INF] + (size if rays else 0)
                cursor[NEED_PUSHES] = size * (1 if rays else 2 * n)
                short = cursor[NEED_V] > st.star.shape[0] or cursor[NEED_INF] > st.base.shape[0]
                if short or chunks_short(cursor[NEED_PUSHES], bk) > 0:
                    return ROOM
            stop = min(size, cursor[START] + PORTION)
            found = 0
            if stop > cursor[START]:
                before = counts[0], counts[1], counts[2]
                found, n_inf = cut_edges(k, rays, lists, stop, cursor, cut, unsure, work)
                cursor[UNSURE] = found
                if found > unsure.vertices.shape[0]:
                    counts[0], counts[1], counts[2] = before
                    return MORE_UNSURE
                cursor[N_INF] = n_inf
            done += stop - cursor[START]
            cursor[START] = stop
            if stop == size:
                cursor[START] = 0
                cursor[STAGE] = END if rays else LINK
            if found:
                return DECIDE
        elif stage == LINK:
            stop = min(cursor[SIZE], cursor[START] + PORTION)
            cursor[NEED_RAYS] = cursor[RAYS] + (stop - cursor[START]) * 2 * n
            cursor[NEED_LEVEL] = cursor[LEVEL] + (cursor[SIZE] - cursor[START]) * (n + 1)
            if cursor[NEED_RAYS] > lists.rays.shape[0] or cursor[NEED_LEVEL] > lists.level.shape[0]:
                return ROOM
            if cursor[START] == 0:
                cursor[LEVEL] = splice(k, cursor[SIZE], cursor[NV], cut, bk, lists, cursor[LEVEL])
            broken, cursor[RAYS], cursor[LEVEL] = link_chords(
                k, cursor[NV] + cursor[START], cursor[NV] + stop, cut, bk, walks, lists, cursor[RAYS], cursor[LEVEL]
            )
            cursor[BROKEN] = broken
            if broken:
                return TICK
            done += stop - cursor[START]
            cursor[START] = stop
            if stop == cursor[SIZE]:
                cursor[NV] += stop
                cursor[START] = 0
                cursor[STAGE] = RAY_CUT
        else:
            link_rays(lists.rays, cursor[RAYS], cursor[NV], net, st, pending, bk)
            cursor[NV] += cursor[RAYS]
            cursor[STAGE] = BEGIN
            cursor[AT] += 1
            if closed[k]:
                return DROP
    return DONE


@bare_kernel
def settle(unsure, shift, star, height, up):
    """Orient listed edges by bounds of heights (nv, 2); the others stay in front of the list. Returns how many."""
    mask = (1 << shift) - 1
    m = 0
    for e in range(unsure.shape[0]):
        v = unsure[e] >> shift
        h = unsure[e] & mask
        t = star[v, h]
        w = t >> shift
        if height[w, 0] > height[v, 1]:
            set_bit(up, v, h)
        elif height[w, 1] < height[v, 0]:
            set_bit(up, w, t & mask)
        else:
            unsure[m] = unsure[e]
            m += 1
    return m
