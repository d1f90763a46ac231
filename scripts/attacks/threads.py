"""Read one complex from many threads in different orders: does each get what one thread alone gets?

    python scripts/attacks/threads.py [--count 100] [--threads 6] [--seed 0]

Everything a complex makes when it is first asked is asked for by all threads at once, verification, saving and pickling
included. The truth is a copy that one thread reads.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import polyfiber as pf

LINES = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1], [1, -3]], [[1, 1, 1, 1]]], [[-1, -1, -2, 1], [0]])  # not generic


def questions(cx: pf.PolyhedralComplex) -> list[Callable[[], Any]]:
    """What threads ask, with numbers as answers."""
    return [
        lambda: cx.f_vector,
        lambda: cx.vertices,
        lambda: cx.vertex_errors * 0,
        lambda: cx.edges,
        lambda: cx.rays[1],
        lambda: np.asarray(cx.volumes()),
        lambda: cx.signs(1),
        lambda: cx.signs(2),
        lambda: cx.is_unbounded(1),
        lambda: cx.dual_graph.indices,
        lambda: cx.polytopes.vertices[1],
        lambda: cx.breakpoint_complex().weights,
        lambda: cx.breakpoint_complex().balancing_residual() < 1e-9,
        lambda: cx.h_representation(0).A,
        lambda: cx.v_representation(1).vertices,
        lambda: cx.locate(np.array([[0.1, 0.2], [-0.5, 0.7]])),
        lambda: cx.affine_maps()[0],
        lambda: cx.lipschitz().value,
        lambda: cx.sharpened([0, 1])[0],
        lambda: cx.strata.validate().ok,
        lambda: cx.certificate.verify().ok,
        lambda: pickle.loads(pickle.dumps(cx)).f_vector,
    ]


def read(cx: pf.PolyhedralComplex, order: Any, out: list[dict[int, Any]]) -> None:
    asked, found = questions(cx), {}
    for i in order:
        try:
            found[int(i)] = np.asarray(asked[i](), dtype=np.float64)
        except Exception as error:
            found[int(i)] = error
    out.append(found)


def run(rng: np.random.Generator, threads: int) -> list[str]:
    """One complex, read by many threads; what went wrong."""
    net = LINES if rng.random() < 0.3 else pf.ReLUNetwork.random((2, 6, 4, 1), rng=rng)
    cx = pf.canonical_complex(net, None if rng.random() < 0.5 else pf.Box([-2, -2], [2, 2]))
    size = len(questions(cx))
    truth: list[dict[int, Any]] = []
    read(pickle.loads(pickle.dumps(cx)), range(size), truth)
    out: list[dict[int, Any]] = []
    started = [threading.Thread(target=read, args=(cx, rng.permutation(size), out)) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    wrong = []
    for found in out:
        for i, value in found.items():
            right = truth[0][i]
            if isinstance(value, Exception):
                if type(right) is not type(value):
                    wrong.append(f"question {i}: {type(value).__name__}: {value}")
            elif isinstance(right, Exception) or value.shape != right.shape:
                wrong.append(f"question {i}: another shape")
            elif not np.allclose(value, right, rtol=1e-9, atol=1e-9, equal_nan=True):
                wrong.append(f"question {i}: other numbers")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    wrong = [text for _ in range(options.count) for text in run(rng, options.threads)]
    sys.setswitchinterval(interval)
    print(f"{options.count} complexes read by {options.threads} threads, {len(wrong)} wrong {sorted(set(wrong))[:5]}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
