"""Fiber labels of many three-layer networks: signs of (W2 | b2) with margins, one pass."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import kernel

# of every network: kind 0 identifiable, 1 layerwise, 2 hiding, 3 constant, 4 undecided; its hidden hyperplane or -1;
# counts (2,) of dead and linear neurons; roles (n2,) 0 nonlinear, 1 linear, 2 dead; margin, the least relative entry;
# undecided, the number of entries without a sign (zeros included)
Labels = namedtuple("Labels", "kind hidden counts roles margin undecided")


@kernel
def fiber_labels(W1, W2, b2, W3, tolerance, found):
    """Label every network of a stack, into ``found`` (`Labels`, see there).

    Parameters
    ----------
    W1 : (B, n1, n0), W2 : (B, n2, n1), b2 : (B, n2), W3 : (B, nL, n2)
    tolerance : float
        Entries below ``tolerance`` times the norm of their row (columns weighed by the norm of the
        layer-1 row they multiply) have no sign.
    """
    kind, hidden, counts, roles, margin, undecided = found
    B, n2, n1 = W2.shape
    n0 = W1.shape[2]
    nL = W3.shape[1]
    size = np.empty(n1)
    for t in range(B):
        for k in range(n1):
            s0 = 0.0
            s1 = 0.0
            s2 = 0.0
            s3 = 0.0
            s4 = 0.0
            s5 = 0.0
            s6 = 0.0
            s7 = 0.0
            i = 0
            while i + 7 < n0:
                s0 += W1[t, k, i] * W1[t, k, i]
                s1 += W1[t, k, i + 1] * W1[t, k, i + 1]
                s2 += W1[t, k, i + 2] * W1[t, k, i + 2]
                s3 += W1[t, k, i + 3] * W1[t, k, i + 3]
                s4 += W1[t, k, i + 4] * W1[t, k, i + 4]
                s5 += W1[t, k, i + 5] * W1[t, k, i + 5]
                s6 += W1[t, k, i + 6] * W1[t, k, i + 6]
                s7 += W1[t, k, i + 7] * W1[t, k, i + 7]
                i += 8
            while i < n0:
                s0 += W1[t, k, i] * W1[t, k, i]
                i += 1
            size[k] = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
        least = np.inf
        open_entries = 0
        bad_first = 0
        for k in range(n1):
            if size[k] == 0.0:
                bad_first += 1
        dead = 0
        linear = 0
        unused = 0
        hides = -2  # -2: no live neuron yet, -1: none hidden
        for j in range(n2):
            row = b2[t, j] * b2[t, j]
            smallest = row
            positives = 0
            last = -1
            row1 = 0.0
            row2 = 0.0
            row3 = 0.0
            least1 = smallest
            least2 = smallest
            least3 = smallest
            k = 0
            while k + 3 < n1:  # four chains, so that additions and minima do not wait for each other
                w0 = W2[t, j, k]
                w1 = W2[t, j, k + 1]
                w2 = W2[t, j, k + 2]
                w3 = W2[t, j, k + 3]
                q0 = w0 * w0 * size[k]
                q1 = w1 * w1 * size[k + 1]
                q2 = w2 * w2 * size[k + 2]
                q3 = w3 * w3 * size[k + 3]
                row += q0
                row1 += q1
                row2 += q2
                row3 += q3
                smallest = q0 if q0 < smallest else smallest
                least1 = q1 if q1 < least1 else least1
                least2 = q2 if q2 < least2 else least2
                least3 = q3 if q3 < least3 else least3
                positives += (w0 > 0.0) + (w1 > 0.0) + (w2 > 0.0) + (w3 > 0.0)
                k += 4
            while k < n1:
                w0 = W2[t, j, k]
                q0 = w0 * w0 * size[k]
                row += q0
                smallest = q0 if q0 < smallest else smallest
                positives += w0 > 0.0
                k += 1
            row = (row + row1) + (row2 + row3)
            smallest = min(min(smallest, least1), min(least2, least3))
            if positives == 1:
                for k in range(n1):
                    if W2[t, j, k] > 0.0:
                        last = k
            used = False
            for o in range(nL):
                if W3[t, o, j] != 0.0:
                    used = True
            if not used:
                unused += 1
            if row > 0.0:
                relative = smallest / row
                if relative < least:
                    least = relative
                if relative <= tolerance * tolerance:
                    for k in range(n1):
                        if W2[t, j, k] * W2[t, j, k] * size[k] <= tolerance * tolerance * row:
                            open_entries += 1
                    if b2[t, j] * b2[t, j] <= tolerance * tolerance * row:
                        open_entries += 1
            else:
                open_entries += n1 + 1
                least = 0.0
            if positives == 0 and b2[t, j] <= 0.0:
                roles[t, j] = 2
                dead += 1
                continue
            if positives == n1 and b2[t, j] >= 0.0:
                roles[t, j] = 1
                linear += 1
            else:
                roles[t, j] = 0
            candidate = last if positives == 1 and b2[t, j] <= 0.0 and n1 >= 2 else -1
            if hides == -2:
                hides = candidate
            elif hides != candidate:
                hides = -1
        counts[t, 0] = dead
        counts[t, 1] = linear
        hidden[t] = max(hides, -1)
        margin[t] = np.sqrt(least)
        undecided[t] = open_entries + bad_first + unused
        if undecided[t] > 0 or n1 < 2 or n0 < n1:
            kind[t] = 4
        elif dead == n2:
            kind[t] = 3
        elif hides >= 0:
            kind[t] = 2
        elif dead > 0 or linear > 0:
            kind[t] = 1
        else:
            kind[t] = 0
