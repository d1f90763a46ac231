"""Read one complex from many threads in different orders: does each get what one thread alone gets?

    python scripts/attacks/complexes/threads.py [--count 100] [--threads 6] [--seed 0]

Everything a complex makes when it is first asked is asked for by all threads at once, verification, saving and pickling
included. The truth is a copy that one thread reads.

The same for other public values (``--values``): every property of regions, slices, level sets, boundaries, lattices of faces,
reports on fibers, verdicts, canonical forms and rank strata, and pickled copies of them, made while others read.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import polyfiber as pf
from polyfiber import linear

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
    asked = questions(cx)
    found: dict[int, Any] = {}
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


def values(rng: np.random.Generator) -> list[Any]:
    """Public values that fill something in when they are asked."""
    net, other = (pf.ReLUNetwork.random((2, 5, 3, 2), rng=rng) for _ in range(2))
    cx = pf.canonical_complex(net, pf.Box([-2, -2], [2, 2]))
    return [
        net,
        cx.strata,
        cx.level_set(0.1, 0),
        cx.sublevel_set(0.1, 0),
        cx.decision_boundary(),
        cx.image(),
        cx.polytopes,
        cx.breakpoint_complex(),
        pf.region(net, [0.1, 0.2]),
        pf.activation_bounds(net, pf.Box([-2, -2], [2, 2])),
        pf.slice_complex(net, [0, 0], [[1, 0], [0, 1]]),
        pf.slice_through(net, [0, 0], [1, 0], [0, 1]),
        pf.segment_regions(net, [0, 0], [1, 1]),
        pf.are_equivalent(net, net),
        pf.are_equivalent(net, other),
        pf.canonical_form(net),
        pf.classify_fiber(net),
        pf.local_fiber(net),
        linear.stratify((2, 2, 2)),
        linear.locate([np.diag([1.0, 0.0]), np.eye(2)]),
    ]


def plain(value: Any) -> Any:
    """Something to compare an answer by."""
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes() if value.dtype != object else repr(value.tolist())
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return [(repr(key), plain(part)) for key, part in value.items()]
    return type(value).__name__, "" if " object at 0x" in repr(value) else repr(value)


def ask_all(value: Any, names: Any, out: list[dict[str, Any]]) -> None:
    """Every property, and in between a copy that is asked for one."""
    found = {}
    for name in names:
        for key, asked in ((name, value), (f"{name} of a copy", None)):
            try:
                found[key] = plain(getattr(pickle.loads(pickle.dumps(value)) if asked is None else asked, name))
            except Exception as error:
                found[key] = f"{type(error).__name__}: {error}"
    out.append(found)


def run_values(rng: np.random.Generator, threads: int) -> tuple[int, list[str]]:
    """How many values were read, and what went wrong."""
    wrong, made = [], values(rng)
    for value in made:
        names = [
            name
            for name in dir(type(value))
            if not name.startswith("_") and not callable(getattr(type(value), name)) and name != "seconds"
        ]
        sent = pickle.dumps(value)
        truth: list[dict[str, Any]] = []
        ask_all(pickle.loads(sent), names, truth)
        shared, out = pickle.loads(sent), list[dict[str, Any]]()
        started = [threading.Thread(target=ask_all, args=(shared, rng.permutation(names), out)) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        wrong += [
            f"{type(value).__name__}.{key}: {str(answer)[:90]} | {str(truth[0][key])[:60]}"
            for found in out
            for key, answer in found.items()
            if answer != truth[0][key]
        ]
    return len(made), wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--values", action="store_true", help="other public values, not complexes")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    if options.values:
        warnings.simplefilter("ignore", pf.errors.PolyfiberDeprecationWarning)  # old names are asked too
        rounds = [run_values(rng, options.threads) for _ in range(options.count)]
        asked = sum(count for count, _ in rounds)
        wrong = [text for _, texts in rounds for text in texts]
    else:
        asked = options.count
        wrong = [text for _ in range(options.count) for text in run(rng, options.threads)]
    sys.setswitchinterval(interval)
    print(
        f"{asked} {'values' if options.values else 'complexes'} read by {options.threads} threads, {len(wrong)} wrong {sorted(set(wrong))[:5]}"
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
