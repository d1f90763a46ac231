"""Give every function that hears a budget an input too large for it: when does it stop?

    python scripts/attacks/budgets.py [--seconds 2] [--only NAME ...] [--list]

Each step is called twice: with a tenth of the budget, so that kernels are compiled, and with the budget. Clocks of the library
are replaced by the CPU time of this process, so that other work on the machine changes nothing; compilation is taken out.
Late is what used more than 3/2 of the budget (a budget of 2 s: 3 s). An answer, and `BudgetExceededError`, both count as stopping;
any other error is wrong. Steps whose work other processes do (`workers=`) are left out, and `datasets.estimate`, which
measures at least one whole network whatever its seconds.

One line a step: CPU seconds, and how it ended. Exit code 1 if one was late or raised something else.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import polyfiber as pf
from polyfiber import budget as clocks
from polyfiber import dln, fibers, invariants, linear, plots
from polyfiber.complexes.archive import verify_archive
from polyfiber.errors import BudgetExceededError, IncompleteError
from polyfiber.kernels import jit

Step = Callable[[pf.Budget], Any]


def random(*widths: int, rng: int = 0) -> pf.ReLUNetwork:
    return pf.ReLUNetwork.random(widths, rng=rng)


def integers(*widths: int) -> pf.ReLUNetwork:
    """Small integers: walls meet, so a face lattice is built."""
    rng = np.random.default_rng(0)
    shapes = list(zip(widths[1:], widths[:-1]))
    return pf.ReLUNetwork(
        [rng.integers(-2, 3, s).astype(float) for s in shapes],
        [rng.integers(-1, 2, s[0]).astype(float) for s in shapes],
    )


def moved(net: pf.ReLUNetwork, by: float) -> pf.ReLUNetwork:
    return pf.ReLUNetwork([w * (1 + by) for w in net.weights], net.biases)


def drained(values: Any) -> int:
    return sum(1 for _ in values)


def slanted(n: int) -> pf.Polyhedron:
    row = np.arange(1.0, n + 1)
    return pf.Polyhedron(np.concatenate([np.eye(n), -np.eye(n), [row, -row]]), np.r_[np.ones(2 * n), 0.5, -0.5])


def box(n: int) -> pf.Box:
    return pf.Box(-1, 1, dimension=n)


BIG = random(4, 60, 60, 60, 3)
WIDE = random(784, 128, 10)
PLANE = random(2, 500, 500, 2)
MIDDLE = random(3, 24, 16, 2)
"""A complex of this one is made within a second or so; what is asked of it then is what takes long."""


def complex_of(net: pf.ReLUNetwork, domain: Any = None) -> Callable[[], pf.PolyhedralComplex]:
    made: list[pf.PolyhedralComplex] = []

    def get() -> pf.PolyhedralComplex:
        if not made:
            made.append(pf.canonical_complex(net, domain))
        return made[0]

    return get


def steps() -> dict[str, Step]:
    """Name and call of every step."""
    middle, plane = complex_of(MIDDLE), complex_of(random(2, 100, 60, 2), box(2))
    lattice, solid = complex_of(integers(3, 8, 4, 1)), complex_of(random(3, 40, 40, 2), box(3))
    strata = linear.stratify((3, 3, 3, 3, 3)).strata
    pairs = {
        "all of R^n": (BIG, moved(BIG, 1e-9), None),
        "box": (BIG, moved(BIG, 1e-9), box(4)),
        "wide box": (WIDE, moved(WIDE, 1e-9), box(784)),
        "slanted": (BIG, moved(BIG, 1e-9), slanted(4)),
        "slanted, 8 inputs": (random(8, 40, 40, 3), random(8, 40, 40, 3, rng=1), slanted(8)),
    }
    found: dict[str, Step] = {}
    for name, (f, g, domain) in pairs.items():
        where = {} if domain is None else {"domain": domain}
        found |= {
            f"are_equivalent {name}": lambda b, f=f, g=g, w=where: pf.are_equivalent(f, g, budget=b, **w),
            f"are_equivalent exactly {name}": lambda b, f=f, g=g, w=where: pf.are_equivalent(
                f, g, tolerance=0, budget=b, **w
            ),
            f"difference {name}": lambda b, f=f, g=g, w=where: pf.difference(f, g, budget=b, **w),
        }
        if domain is not None:
            found |= {
                f"epsilon {name}": lambda b, f=f, g=g, d=domain: pf.are_equivalent(f, g, d, epsilon=1e-7, budget=b),
                f"top1 {name}": lambda b, f=f, g=g, d=domain: pf.top1_agreement(f, g, d, budget=b),
            }
    found |= {
        "difference milp": lambda b: pf.difference(BIG, moved(BIG, 1e-9), box(4), method="milp", budget=b),
        "recheck": lambda b: pf.are_equivalent(MIDDLE, moved(MIDDLE, 1e-12)).recheck(budget=b),
        "align": lambda b: pf.align(BIG, moved(BIG, 1e-3), budget=b),
        "group_networks": lambda b: pf.group_networks([random(3, 20, 20, 1, rng=i % 40) for i in range(120)], budget=b),
        "minimize": lambda b: pf.minimize(BIG, prove=True, budget=b),
        "minimize epsilon": lambda b: pf.minimize(BIG, epsilon=0.1, domain=box(4), prove=True, budget=b),
        "deviation": lambda b: fibers.deviation(BIG, moved(BIG, 1e-9), budget=b),
        "classify_fiber": lambda b: pf.classify_fiber(BIG, budget=b),
        "classify_fiber box": lambda b: pf.classify_fiber(BIG, domain=box(4), budget=b),
        "classify_fiber wide": lambda b: pf.classify_fiber(random(12, 40, 30, 1), budget=b),
        "functional_dimension": lambda b: pf.functional_dimension(BIG, budget=b),
        "local_fiber": lambda b: pf.local_fiber(random(3, 30, 20, 10, 1), budget=b),
        "is_injective": lambda b: pf.is_injective(random(4, 30, 30, 6), budget=b),
        "canonical_complex plane": lambda b: pf.canonical_complex(PLANE, budget=b),
        "canonical_complex": lambda b: pf.canonical_complex(BIG, budget=b),
        "canonical_complex wide": lambda b: pf.canonical_complex(WIDE, pf.Box(0, 1, dimension=784), budget=b),
        "canonical_complex wide R^n": lambda b: pf.canonical_complex(WIDE, budget=b),
        "canonical_complex lattice": lambda b: pf.canonical_complex(integers(4, 14, 8, 1), budget=b),
        "canonical_complex exact": lambda b: pf.canonical_complex(random(4, 20, 20, 1).exact(), budget=b),
        "canonical_complex slanted": lambda b: pf.canonical_complex(random(8, 24, 24, 1), slanted(8), budget=b),
        "face_counts": lambda b: pf.face_counts(BIG, budget=b),
        "count_blocks": lambda b: pf.count_blocks(BIG, budget=b),
        "iter_blocks": lambda b: drained(pf.iter_blocks(BIG, budget=b)),
        "iter_cells": lambda b: drained(pf.iter_cells(BIG, maps=True, vertices=True, budget=b)),
        "pilot_estimate": lambda b: pf.pilot_estimate(BIG, budget=b),
        "pilot_estimate deep": lambda b: pf.pilot_estimate(random(6, 40, 40, 40, 1), budget=b),
        "run_block": lambda b: pf.run_block(BIG, pf.Block((), (), np.nan), room=1 << 26, budget=b),
        "write_cells": lambda b: pf.write_cells(
            BIG, Path(tempfile.mkdtemp()) / "cells", file_format="npz", maps=True, budget=b
        ),
        "breakpoint_complex": lambda b: pf.breakpoint_complex(BIG, budget=b),
        "verify": lambda b: middle().certificate.verify(everything=True, budget=b),
        "verify lattice": lambda b: lattice().certificate.verify(everything=True, budget=b),
        "verify_archive": lambda b: verify_archive(_saved(middle()), budget=b),
        "level_set": lambda b: middle().level_set(0.1, 0, budget=b),
        "sublevel_set": lambda b: middle().sublevel_set(0.1, 0, budget=b),
        "superlevel_set": lambda b: middle().superlevel_set(0.1, 0, budget=b),
        "class_region": lambda b: middle().class_region(0, budget=b),
        "decision_boundary": lambda b: middle().decision_boundary(budget=b),
        "decision_boundary verify": lambda b: plane().decision_boundary().certificate.verify(budget=b),
        "nearest_point": lambda b: plane().decision_boundary().nearest_point([0.1, 0.2], budget=b),
        "critical_points": lambda b: middle().critical_points(budget=b),
        "persistence": lambda b: plane().persistence(budget=b),
        "betti_numbers": lambda b: middle().sublevel_set(0).betti_numbers(field=0, budget=b),
        "betti_numbers breakpoints": lambda b: middle().breakpoint_complex().as_set().betti_numbers(budget=b),
        "validate a set": lambda b: middle().sublevel_set(0).validate(budget=b),
        "mesh": lambda b: solid().sublevel_set(0).mesh(budget=b),
        "sizes": lambda b: solid().sublevel_set(0).sizes(budget=b),
        "image": lambda b: solid().image(budget=b),
        "preimage": lambda b: plane().preimage(pf.Box([-0.1, -0.1], [0.1, 0.1]), budget=b),
        "window_of": lambda b: plots.window_of(plane(), budget=b),
        "activation_bounds lp": lambda b: pf.activation_bounds(BIG, box(4), method="lp", budget=b),
        "activation_bounds exact": lambda b: pf.activation_bounds(BIG, box(4), method="exact", budget=b),
        "activation_bounds wide": lambda b: pf.activation_bounds(WIDE, box(784), method="exact", budget=b),
        "activation_bounds slanted": lambda b: pf.activation_bounds(BIG, slanted(4), method="exact", budget=b),
        "simplify_on": lambda b: pf.simplify_on(BIG, box(4), method="exact", budget=b),
        "explore": lambda b: pf.explore(random(8, 60, 60, 1), np.zeros(8), budget=b),
        "region wide": lambda b: pf.region(WIDE, np.full(784, 0.5), domain=pf.Box(0, 1, dimension=784), budget=b),
        "region wide R^n": lambda b: pf.region(WIDE, np.zeros(784), budget=b),
        "segment_regions": lambda b: pf.segment_regions(
            random(6, 1000, 1000, 1000, 1), np.zeros(6), np.ones(6) * 1e3, budget=b
        ),
        "materialize": lambda b: solid().materialize(budget=b),
        "exact_vertices": lambda b: solid().exact_vertices(budget=b),
        "interior_points": lambda b: solid().interior_points(3, budget=b),
        "volumes": lambda b: solid().volumes(budget=b),
        "sharpened": lambda b: solid().sharpened(np.arange(solid().f_vector[0]), rtol=1e-18, budget=b),
        "lipschitz": lambda b: solid().lipschitz(budget=b),
        "largest_ball": lambda b: solid().largest_ball(0, budget=b),
        "plan_blocks": lambda b: pf.plan_blocks(BIG, budget=b),
        "canonical_form": lambda b: pf.canonical_form(random(20, 800, 800, 4), budget=b),
        "feature_relations": lambda b: pf.feature_relations(random(6, 60, 60, 3), budget=b),
        "nonnegative_column_rank": lambda b: pf.nonnegative_column_rank(
            np.random.default_rng(0).random((40, 80)), budget=b
        ),
        "feasibility": lambda b: pf.feasibility(WIDE, seconds=b.seconds),
        "genericity": lambda b: pf.genericity(BIG, budget=b),
        "slice_complex": lambda b: pf.slice_complex(
            random(6, 400, 400, 400, 1), np.zeros(6), np.eye(6)[:2], domain=box(2), budget=b
        ),
        "slice_complex solid": lambda b: pf.slice_complex(random(6, 80, 80, 1), np.zeros(6), np.eye(6)[:3], budget=b),
        "slice_through": lambda b: pf.slice_through(random(6, 400, 400, 400, 1), *np.eye(6)[:3], budget=b),
        "report": lambda b: pf.report(BIG, Path(tempfile.mkdtemp()) / "page.html", domain=box(4), budget=b),
        "watch": lambda b: pf.watch(BIG, box(4), seconds=b.seconds),
        "count_strata": lambda b: linear.count_strata((9,) * 60, budget=b),
        "stratify": lambda b: linear.stratify((4,) * 7, budget=b),
        "fiber_variety": lambda b: linear.fiber_variety((5,) * 7, rank=2, budget=b),
        "chain_counts": lambda b: invariants.chain_counts(strata, budget=b),
        "interval_invariants": lambda b: invariants.interval_invariants(strata, 0, strata.n - 1, budget=b),
        "moebius": lambda b: invariants.moebius(strata, 0, strata.n - 1, budget=b),
        "moebius_from": lambda b: invariants.moebius_from(strata, 0, budget=b),
        "order_homology": lambda b: invariants.order_homology(strata, range(300), budget=b),
        "geodesic": lambda b: dln.geodesic(
            *(3 * np.eye(12) + 0.5 * np.random.default_rng(i).standard_normal((12, 12)) for i in (0, 1)), 4, budget=b
        ),
        "gradient_flow": lambda b: dln.gradient_flow(
            [np.random.default_rng(i).standard_normal((30, 30)) for i in range(4)], lambda W: W, [0, 1e6], budget=b
        ),
        "observable_flow": lambda b: dln.observable_flow(
            np.random.default_rng(0).standard_normal((40, 40)), lambda W: W - np.eye(40), [0, 1e6], 5, budget=b
        ),
        "layer components": lambda b: drained(_layer().components(budget=b)),
        "layer count": lambda b: _layer().count_components(budget=b),
    }
    return found


def _saved(cx: pf.PolyhedralComplex) -> Path:
    path = Path(tempfile.mkdtemp()) / "complex.npz"
    cx.save(path)
    return path


def _layer() -> Any:
    rng = np.random.default_rng(0)
    W = np.concatenate([rng.standard_normal((3, 3))] * 8)
    return fibers.layerwise_fiber(W, np.zeros(24), rng.standard_normal((2, 24)), np.zeros(2))


def spent(step: Step, seconds: float) -> tuple[float, str, bool]:
    """CPU seconds without compilation, how it ended, and whether that is right."""
    compiled, started = clocks._compilation.seconds, time.process_time()
    try:
        end, fine = type(step(pf.Budget(seconds=seconds))).__name__, True
    except (BudgetExceededError, IncompleteError) as error:
        end, fine = f"{type(error).__name__}: {error}", True
    except Exception as error:
        end, fine = f"RAISED {type(error).__name__}: {error}", False
    return time.process_time() - started - (clocks._compilation.seconds - compiled), end, fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", nargs="*", default=None, help="names, or beginnings of names")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    for module in (clocks, jit):
        module.time = SimpleNamespace(**{**vars(time), "monotonic": time.process_time})  # type: ignore[attr-defined]
    every = steps()
    chosen = [n for n in every if options.only is None or any(n.startswith(o) for o in options.only)]
    if options.list:
        print("\n".join(chosen))
        return 0
    late, wrong = [], []
    for name in chosen:
        for again in itertools.count():
            spent(every[name], options.seconds / 10)  # compiles
            before = clocks._compilation.seconds
            used, end, fine = spent(every[name], options.seconds)
            if clocks._compilation.seconds - before < 0.05 or again == 1:
                break
        late += [name] if used > 1.5 * options.seconds else []
        wrong += [] if fine else [name]
        print(f"{name:32} {used:7.2f} s {'LATE' if name in late else '    '} {end[:110]}", flush=True)
    print(
        f"{len(chosen)} steps with {options.seconds:g} s each: {len(late)} late {late}, {len(wrong)} with another error {wrong}"
    )
    return int(bool(late or wrong))


if __name__ == "__main__":
    sys.exit(main())
