"""Attack the arguments: hostile values for every argument that can be given by position, and our errors alone for an answer.

    python scripts/attacks/arguments.py [--only NAME]

Every public function of the package, and every method of a complex, a domain and a network, is called with arguments that fit but for
one, which is each of 28 values in turn. Allowed: an answer, one of our errors, and TypeError for a wrong number of arguments.
Exit code 1 if anything else was raised.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
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
SKIPPED = {"show_versions", "read_network", "plot", "save", "NetworkBatch", "annotations"}
"""Whose files, windows or arrays of any kind have attacks of their own (`readers.py`, `stores.py`)."""


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


def attacked(name: str, call: Callable[..., Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """One call for each argument and each hostile value."""
    with contextlib.suppress(TypeError, ValueError):
        given = inspect.signature(call).parameters.values()
        places = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if any(p.default is p.empty and p.name not in FITTING and i for i, p in enumerate(places)):
            return
        for i, place in enumerate(places):
            before = [FITTING.get(p.name, p.default) for p in places[:i]]
            if inspect.Parameter.empty in before:
                return
            needed = [p for p in places[i + 1 :] if p.default is p.empty]
            if any(p.name not in FITTING for p in needed):
                continue
            after = {p.name: FITTING[p.name] for p in needed}
            for n, value in enumerate(HOSTILE):
                yield f"{name}({place.name}=hostile {n})", lambda v=value, b=before, a=after: _used(call(*b, v, **a))


def _used(answer: Any) -> Any:
    """The answer; what is made while it is asked for is asked for."""
    return list(zip(answer, range(3))) if inspect.isgenerator(answer) else answer


def attack(only: str = "") -> tuple[int, list[str]]:
    """(calls made, what was raised that should not be)."""
    tried, wrong = 0, []
    place = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for name, call in calls():
                if only not in name or name.split(".")[-1] in SKIPPED:
                    continue
                for text, ask in attacked(name, call):
                    tried += 1
                    try:
                        ask()
                    except PolyfiberError:
                        pass
                    except Exception as error:
                        if not (isinstance(error, TypeError) and "positional argument" in str(error)):
                            wrong.append(f"{text}: {type(error).__name__}: {str(error)[:100]}")
        finally:
            os.chdir(place)
    return tried, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names that hold this text")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tried, wrong = attack(options.only)
    for line in wrong:
        print("WRONG", line)
    print(f"{tried} calls, {len(wrong)} raw errors")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
