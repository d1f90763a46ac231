"""Attack on lengths of geodesics: paths of least energy, by a program that shares nothing with the library.

A balanced network over ``X = A_N L^N A_0^T`` (rank r) has layers ``A_p L A_{p-1}^T`` with orthonormal frames A_p and a
symmetric L. A path is a polygon of K + 1 such networks whose ends lie over the two matrices; the sum of squared steps is
minimised over all frames and all L (L-BFGS, frames as polar factors of free matrices). The length of the best polygon
tends to the distance like 1/K^2, so K and 2K are extrapolated, until two extrapolations agree: a polygon with few corners
can jump over matrices of lower rank, where no path goes. NumPy and SciPy alone.

For each pair: is the extrapolated length that of ``polyfiber.dln.geodesic``, from starts that it does not know; and where
a start ends elsewhere, is its path shorter?

    python scripts/attacks/linear/path_energy.py --count 60 --seed 1
"""

from __future__ import annotations

import argparse
import collections
import math
import time

import numpy as np
from scipy.optimize import minimize

import polyfiber as pf


def polar(Y: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Nearest frames of matrices (..., m, r), and what their derivative needs."""
    u, s, vt = np.linalg.svd(Y, full_matrices=False)
    return u @ vt, (u, s, vt)


def through_polar(G: np.ndarray, parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Gradient with respect to Y from the gradient G with respect to its polar factor."""
    u, s, vt = parts
    v, ut = np.swapaxes(vt, -1, -2), np.swapaxes(u, -1, -2)
    inner = ut @ G @ v
    inner = (inner - np.swapaxes(inner, -1, -2)) / (s[..., :, None] + s[..., None, :])
    outside = (G - u @ (ut @ G)) @ v / s[..., None, :]
    return (u @ inner + outside) @ vt


class Polygon:
    """Networks at K + 1 times: frames at the two outer layers and the N - 1 hidden ones, and a symmetric matrix each."""

    def __init__(self, X0: np.ndarray, X1: np.ndarray, r: int, depth: int, K: int) -> None:
        self.n, self.K, self.r = depth, K, r
        self.left, self.right, self.middle = [], [], []
        for X in (X0, X1):
            u, s, vt = np.linalg.svd(X)
            self.left.append(u[:, :r])
            self.right.append(vt[:r].T)
            self.middle.append(np.diag(s[:r] ** (1.0 / depth)))

    def start(self, g: np.ndarray) -> list[np.ndarray]:
        """Frames and stretches on the straight way between representations; g (r, r) turns that of the end."""
        t = np.linspace(0.0, 1.0, self.K + 1)[:, None, None]
        U = (1 - t) * self.left[0] + t * (self.left[1] @ g)
        V = (1 - t) * self.right[0] + t * (self.right[1] @ g)
        L = (1 - t) * self.middle[0] + t * (g.T @ self.middle[1] @ g)
        H = np.broadcast_to(np.eye(self.r), (self.K + 1, self.n - 1, self.r, self.r)).copy()
        H[-1] = g.T  # the end keeps its own representation, in which the hidden frames are turned back
        L[-1] = self.middle[1]
        return [U, V, L, H]

    def refine(self, parts: list[np.ndarray]) -> list[np.ndarray]:
        """The polygon with twice as many corners; the last representation is turned to that of its neighbour."""
        g = polar((polar(parts[3][-1, 0])[0].T @ polar(parts[3][-2, 0])[0])[None])[0][0]
        turned = [p.copy() for p in parts]
        turned[0][-1], turned[1][-1] = self.left[1] @ g, self.right[1] @ g
        turned[2][-1], turned[3][-1] = g.T @ self.middle[1] @ g, parts[3][-1] @ g
        out = []
        for p, whole in zip(turned, parts, strict=True):
            fine = np.empty((2 * len(p) - 1, *p.shape[1:]))
            fine[::2] = whole
            fine[1::2] = 0.5 * (p[1:] + p[:-1])
            out.append(fine)
        return out

    def minimise(self, parts: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
        """Length of the best polygon found, and its parts."""
        shapes = [(self.K - 1, *p.shape[1:]) for p in parts[:3]] + [parts[3].shape]
        cuts = np.cumsum([int(np.prod(s)) for s in shapes])[:-1]
        n = self.n

        def unpack(x: np.ndarray) -> list[np.ndarray]:
            return [piece.reshape(s) for piece, s in zip(np.split(x, cuts), shapes, strict=True)]

        def energy(x: np.ndarray) -> tuple[float, np.ndarray]:
            yu, yv, yl, yh = unpack(x)
            u_in, u_parts = polar(yu)
            v_in, v_parts = polar(yv)
            h, h_parts = polar(yh)
            l_in = 0.5 * (yl + np.swapaxes(yl, -1, -2))
            U = np.concatenate([self.left[0][None], u_in, self.left[1][None]])
            V = np.concatenate([self.right[0][None], v_in, self.right[1][None]])
            L = np.concatenate([self.middle[0][None], l_in, self.middle[1][None]])
            frames = [V, *(h[:, p] for p in range(n - 1)), U]
            total, dL, dF = 0.0, np.zeros_like(L), [np.zeros_like(f) for f in frames]
            for p in range(1, n + 1):
                above, below = frames[p], frames[p - 1]
                W = above @ L @ np.swapaxes(below, -1, -2)
                step = np.diff(W, axis=0)
                total += float((step**2).sum())
                G = np.zeros_like(W)
                G[1:] += 2 * step
                G[:-1] -= 2 * step
                Gb = G @ below
                dL += np.swapaxes(above, -1, -2) @ Gb
                dF[p] += Gb @ L
                dF[p - 1] += np.swapaxes(G, -1, -2) @ above @ L
            gl = 0.5 * (dL + np.swapaxes(dL, -1, -2))[1:-1]
            gh = through_polar(np.stack(dF[1:-1], axis=1), h_parts) if n > 1 else np.zeros_like(yh)
            gu, gv = through_polar(dF[-1][1:-1], u_parts), through_polar(dF[0][1:-1], v_parts)
            return self.K * total, self.K * np.concatenate([a.ravel() for a in (gu, gv, gl, gh)])

        x0 = np.concatenate([*(p[1:-1].ravel() for p in parts[:3]), parts[3].ravel()])
        found = minimize(
            energy,
            x0,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 3000, "maxcor": 30, "ftol": 1e-13, "gtol": 1e-9},
        )
        yu, yv, yl, yh = unpack(found.x)
        inner = [polar(yu)[0], polar(yv)[0], 0.5 * (yl + np.swapaxes(yl, -1, -2))]
        ends = [self.left, self.right, self.middle]
        full = [np.concatenate([e[0][None], i, e[1][None]]) for e, i in zip(ends, inner, strict=True)] + [polar(yh)[0]]
        return float(np.sqrt(found.fun)), full


def settled(coarse: Polygon, parts: list[np.ndarray], X0: np.ndarray, X1: np.ndarray) -> float:
    """Extrapolated length once two extrapolations agree; NaN where none do: the polygon jumps over lower rank."""
    length, parts = coarse.minimise(parts)
    before, corners = math.nan, coarse.K
    while corners < 16 * coarse.K:
        corners *= 2
        finer, parts = Polygon(X0, X1, coarse.r, coarse.n, corners).minimise(coarse.refine(parts))
        estimate, length = (4 * finer - length) / 3, finer
        if abs(estimate - before) < 1e-4 * estimate:
            return estimate
        before = estimate
    return math.nan


def least_energy(
    X0: np.ndarray, X1: np.ndarray, r: int, depth: int, rng: np.random.Generator, starts: int, K: int
) -> list[float]:
    """Extrapolated lengths from several starts; NaN where it does not settle."""
    results = []
    coarse = Polygon(X0, X1, r, depth, K)
    nearest = polar((coarse.left[1].T @ coarse.left[0] + coarse.right[1].T @ coarse.right[0])[None])[0][0]
    # square outer layers settle the determinant of g: their frames must turn without a reflection
    square = [f for f in (coarse.left, coarse.right) if f[0].shape[0] == r]
    signs = {float(np.sign(np.linalg.det(f[0]) * np.linalg.det(f[1]))) for f in square}
    for i in range(starts):
        g = nearest.copy() if i < 2 else np.linalg.qr(rng.standard_normal((r, r)))[0]
        wanted = next(iter(signs)) if signs else (-1.0) ** i
        if np.linalg.det(g) * wanted < 0:
            g[:, -1] *= -1.0
        try:
            results.append(settled(coarse, coarse.start(g), X0, X1))
        except np.linalg.LinAlgError:
            results.append(math.nan)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--corners", type=int, default=8, help="K; 2K is the finer polygon")
    parser.add_argument("--largest", type=int, default=5, help="largest d")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    tally: collections.Counter[str] = collections.Counter()
    gaps = []
    clock = time.process_time()
    for i in range(args.count):
        m, n = (int(v) for v in rng.integers(2, args.largest + 1, 2))
        depth, r = int(rng.integers(2, 7)), int(rng.integers(1, min(m, n) + 1))
        X0, X1 = (rng.standard_normal((m, r)) @ rng.standard_normal((r, n)) for _ in range(2))
        if r == m == n and np.linalg.det(X0) * np.linalg.det(X1) < 0:
            X1[0] *= -1
        try:
            length = pf.dln.geodesic(X0, X1, depth, explicit=r > 1).length
        except pf.errors.PolyfiberError as error:
            tally["not solved"] += 1
            print(f"not solved: pair {i}: {error}")
            continue
        others = least_energy(X0, X1, r, depth, rng, args.starts, args.corners)
        tally["starts that do not settle"] += int(np.isnan(others).sum())
        if np.isnan(others).all():
            continue
        gaps.append(float(np.nanmin(others)) / length - 1)
        verdict = "agree" if abs(gaps[-1]) < 1e-3 else "a shorter path" if gaps[-1] < 0 else "energy stays above"
        tally[verdict] += 1
        if verdict != "agree":
            print(
                f"pair {i}: {m}x{n}, rank {r}, depth {depth}: geodesic {length:.6f}, paths "
                + ", ".join(f"{v:.6f}" for v in others)
            )
    print(dict(tally), f"{time.process_time() - clock:.0f} CPU s")
    if gaps:
        agree = [abs(g) for g in gaps if abs(g) < 1e-3]
        print(f"relative difference: median {np.median(agree):.1e}, largest of those that agree {max(agree):.1e}")


if __name__ == "__main__":
    main()
