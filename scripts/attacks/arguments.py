"""Attack the arguments: hostile values for every argument, by position or by keyword, and our errors alone for an answer.

    python scripts/attacks/arguments.py [--only NAME]

Every public function of every public package, and every method of a complex, a domain, a network and a few results, is called with
arguments that fit but for one, which is each of 28 values in turn. Allowed: an answer within ten seconds of CPU, one of our errors,
and TypeError for a wrong number of arguments. Exit code 1 if anything else was raised, or nothing within that time.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import inspect
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf
from polyfiber.errors import PolyfiberError

NET = pf.ReLUNetwork.random((2, 4, 3, 1), rng=0)
BOX = pf.Box([-1, -1], [1, 1])
HUGE = Fraction(10) ** 400


class Rude:
    """Fails when it is made an array."""

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise RuntimeError("no array")


HOSTILE: list[Any] = [
    None, True, -1, 10**30, 1.5, float("nan"), float("inf"), "a", b"x", "\0", [], [[1]], [["a"]], [1, [2, 3]], {}, set(), object(), Rude(),
    np.array(["x"]), np.array([1, 2]), np.zeros((2, 2)), Fraction(1, 3), HUGE, [HUGE, Fraction(0)], 1j, [None], type,
    np.datetime64("2020"),
]  # fmt: skip
FITTING: dict[str, Any] = {
    "network": NET, "net": NET, "a": NET, "b": NET, "f": NET, "g": NET, "first": NET, "second": NET, "domain": BOX, "target": BOX,
    "x": [0.1, 0.2], "start": [0.1, 0.2], "point": [0.1, 0.2], "x0": [0, 0], "x1": [1, 1], "origin": [0, 0], "directions": [[1, 0], [0, 1]],
    "points": [[0, 0], [1, 1]], "X": [[0.1, 0.2]], "region": 0, "label": 0, "dim": 1, "index": 0, "vertices": [0], "networks": [NET, NET],
    "lo": [-1, -1], "hi": [1, 1], "A": [[1, 0]], "weights": NET.weights, "biases": NET.biases, "architecture": (2, 3, 1), "seconds": 1,
}  # fmt: skip
W = np.array([[2.0, 1.0], [0.0, 1.0]])
PAIR = [W, np.eye(2)]
SPEC = {"name": "t", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 2, 1], "count": 2}]}
PACKAGES = ("linear", "fibers", "dln", "datasets", "invariants", "testing", "plots", "pages")


@functools.cache
def fitting(package: str) -> dict[str, Any]:
    """Values that fit, by the names of arguments of a package."""
    from polyfiber import dln, linear
    from polyfiber.datasets import Spec, make_plan

    strata = linear.stratify((2, 2, 2))
    cx = pf.canonical_complex(NET, BOX)
    energy = dln.diagonal_example()
    of: dict[str, dict[str, Any]] = {
        "linear": {
            "weights": PAIR, "a": PAIR, "b": PAIR, "direction": PAIR, "step": PAIR, "widths": (2, 2, 2), "rank": 1, "lower": strata.ranks[0],
            "upper": strata.ranks[-1], "ranks": strata.ranks[1], "at": strata.ranks[1], "level": 0.1, "product": W, "W": W, "target": W, "X": W, "Y": W,
            "stratum": strata[1], "move": linear.moves_between((2, 2, 2), strata.ranks[0], strata.ranks[-1])[0],
        },
        "fibers": {
            "domain": BOX, "X": [[0.1, 0.2]], "Y": [[1.0]], "complex": cx, "batch": pf.NetworkBatch.random((2, 3, 1), 2, rng=0),
            "W": np.eye(2), "b": [0.1, 0.2], "C": np.ones((1, 2)), "a": NET, "M": np.ones((2, 2)), "matrices": np.ones((2, 2, 2)), "path": "out.parquet",
        },
        "dln": {
            "W": W, "W0": W, "W1": W + np.eye(2), "X": W, "P": W, "Z": W, "Y": W, "V": PAIR, "weights": PAIR, "start": PAIR, "end": PAIR, "depth": 2,
            "velocity": W, "x": [1.0, 2.0], "y": [1.0, 2.0], "d": 2, "t": 0.1, "times": [0.0, 0.1], "time": 0.01, "steps": 2, "beta": 1.0,
            "kappa": 1.0, "energy": energy, "energy_gradient": np.copy, "matrices": [W, W + np.eye(2)], "widths": (2, 2, 2), "rank": 1,
            "checkpoints": [PAIR, PAIR], "paths": ["0.npz"], "path": "0.npz", "factors": [np.eye(2), np.eye(2)], "frames": [np.eye(2)] * 3, "values": [[1.0, 1.0]] * 2,
        },
        "datasets": {"spec": Spec.of(SPEC), "directory": "made", "path": "spec.toml", "plan": make_plan(Spec.of(SPEC)), "table_name": "networks", "row": {}, "seconds": 1, "workers": 0},
        "invariants": {
            "strata": strata.strata, "lower": 0, "upper": 1, "i": 0, "classes": strata.class_polynomials(), "ids": None,
        },
        "testing": {
            "lower": [-1, -1], "upper": [1, 1], "architecture": (2, 3, 1), "network": NET, "exponents": [[1, 1, 1, 1], [0, 0, 0]], "m": 3, "d": 2,
        },
        "plots": {"cx": cx, "bp": cx.breakpoint_complex(), "found": cx.level_set(0), "strata": strata, "of": strata, "steps": [0, 1], "ranks": [[1], [1]], "path": dln.geodesic(W, 2 * W, 2)},
        "pages": {"path": "page.html", "model": NET, "domain": BOX},
    }  # fmt: skip
    return FITTING | of.get(package, {})


OWN: dict[str, dict[str, Any]] = {"fibers.deviation": {"b": NET}, "fibers.gradient_flow": {"time": 0.01}}
"""What fits a function alone."""
SKIPPED = {"show_versions", "read_network", "plot", "save", "NetworkBatch", "annotations", "watch"}
"""Whose files, windows or arrays of any kind have attacks of their own (`readers.py`, `stores.py`)."""
SECONDS = 10


def calls() -> Iterator[tuple[str, Callable[..., Any]]]:
    """What is attacked, by name."""
    for name in pf.__all__:
        thing = getattr(pf, name)
        if inspect.isfunction(thing) or name in ("Box", "Polyhedron", "ReLUNetwork", "Budget"):
            yield name, thing
    values = {
        "complex": pf.canonical_complex(NET, BOX),
        "everywhere": pf.canonical_complex(NET),
        "box": BOX,
        "network": NET,
    }
    for title, value in values.items():
        for name in dir(type(value)):
            if not name.startswith("_") and inspect.isroutine(inspect.getattr_static(type(value), name)):
                yield f"{title}.{name}", getattr(value, name)
    for name in ("hull", "random", "load"):
        of = {"hull": pf.Polyhedron, "random": pf.ReLUNetwork, "load": pf.PolyhedralComplex}[name]
        yield f"{of.__name__}.{name}", getattr(of, name)
    for package in PACKAGES:
        module = importlib.import_module(f"polyfiber.{package}")
        for name in module.__all__:
            if inspect.isfunction(getattr(module, name)):
                yield f"{package}.{name}", getattr(module, name)


def attacked(name: str, call: Callable[..., Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """One call for each argument and each hostile value."""
    with contextlib.suppress(TypeError, ValueError):
        fits = fitting(name.split(".")[0]) | OWN.get(name, {})
        given = inspect.signature(call).parameters.values()
        places = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if any(p.default is p.empty and p.name not in fits and i for i, p in enumerate(places)):
            return
        for i, place in enumerate(places):
            by_name = place.kind is place.KEYWORD_ONLY
            needed = [p for p in places[i + 1 :] if p.default is p.empty]
            rest = {p.name: fits.get(p.name) for p in needed}
            before = [p for p in places[:i] if p.default is p.empty or (not by_name and p.kind is not p.KEYWORD_ONLY)]
            if any(p.default is p.empty and p.name not in fits for p in [*before, *needed]):
                continue
            front = [fits.get(p.name, p.default) for p in before if p.kind is not p.KEYWORD_ONLY]
            rest |= {p.name: fits[p.name] for p in before if p.kind is p.KEYWORD_ONLY}
            rest |= {
                p.name: OWN[name][p.name]
                for p in places
                if p is not place and p.kind is p.KEYWORD_ONLY and p.name in OWN.get(name, {})
            }
            if any(p.name == "budget" and p is not place and p.kind is p.KEYWORD_ONLY for p in places):
                rest["budget"] = pf.Budget(seconds=SECONDS / 5)  # what has no end is stopped by it
            for n, value in enumerate(HOSTILE):

                def ask(
                    value: Any = value, front: Any = front, rest: Any = rest, key: Any = by_name and place.name
                ) -> Any:
                    return _used(call(*front, **rest, **{key: value}) if key else call(*front, value, **rest))

                yield f"{name}({place.name}=hostile {n})", ask


def _used(answer: Any) -> Any:
    """The answer; what is made while it is asked for is asked for."""
    return list(zip(answer, range(3))) if inspect.isgenerator(answer) else answer


class TookTooLong(BaseException):
    """Nothing was answered within the CPU time."""


def _late(*_: Any) -> None:
    raise TookTooLong


def attack(only: str = "") -> tuple[int, list[str]]:
    """(calls made, what was raised that should not be)."""
    tried, wrong = 0, []
    place = os.getcwd()
    before = signal.signal(signal.SIGVTALRM, _late)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for name, call in calls():
                if only not in name or name.split(".")[-1] in SKIPPED:
                    continue
                for text, ask in attacked(name, call):
                    tried += 1
                    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
                    try:
                        ask()
                    except PolyfiberError:
                        pass
                    except TookTooLong:
                        _told(wrong, f"{text}: no answer in {SECONDS} s of CPU")
                    except Exception as error:
                        if not (isinstance(error, TypeError) and "positional argument" in str(error)):
                            _told(wrong, f"{text}: {type(error).__name__}: {str(error)[:100]}")
                    finally:
                        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        finally:
            os.chdir(place)
            signal.signal(signal.SIGVTALRM, before)
    return tried, wrong


def _told(wrong: list[str], line: str) -> None:
    print("WRONG", line, flush=True)
    wrong.append(line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names that hold this text")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tried, wrong = attack(options.only)
    print(f"{tried} calls, {len(wrong)} raw errors")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
