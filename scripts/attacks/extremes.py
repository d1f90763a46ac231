"""Networks and domains at the ends of floats for every public function: answers or our errors, and not a word of NumPy.

    python scripts/attacks/extremes.py [--only NAME] [--seconds 10]

Every call of `arguments.py` that takes a network, a complex, matrices or points is made with arguments that fit, but with networks
whose weights overflow, underflow, are subnormal, zero, or far apart, on all of Rⁿ, a box, a point, a point of largest floats and a
segment; while warnings are errors and NumPy raises whatever it sees (`numpy.errstate(all="raise")`). Exit code 1 if anything but
an answer or one of our errors came out, or nothing within the seconds of CPU.
"""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import arguments as fits
from arguments import TookTooLong

import polyfiber as pf
from polyfiber.complexes.breakpoints.simple import BreakpointComplex
from polyfiber.complexes.topology.sets import PolyhedralSet
from polyfiber.errors import PolyfiberDeprecationWarning, PolyfiberError

LARGEST = np.finfo(np.float64).max
RNG = np.random.default_rng(15)


def scaled(by: Any, widths: tuple[int, ...] = (2, 3, 2, 1)) -> pf.ReLUNetwork:
    shapes = list(zip(widths[1:], widths[:-1]))
    with np.errstate(all="ignore"):
        weights = [RNG.standard_normal(s) * by(s) for s in shapes]
        biases = [RNG.standard_normal(s[0]) * by(s[0]) for s in shapes]
    return pf.ReLUNetwork(weights, biases)


def networks() -> dict[str, pf.ReLUNetwork]:
    def powers(e: int) -> Any:
        return lambda shape: np.ldexp(1.0, RNG.integers(-e, e + 1, size=shape))

    flat = np.zeros((3, 2))
    return {
        "1e100": scaled(lambda s: 1e100), "1e200": scaled(lambda s: 1e200), "1e307": scaled(lambda s: 1e307), "1e-200": scaled(lambda s: 1e-200),
        "subnormal": scaled(lambda s: 1e-310), "ratios": scaled(powers(300)), "far ratios": scaled(powers(1000)),
        "largest": pf.ReLUNetwork([np.full((3, 2), LARGEST), -np.full((2, 3), LARGEST), [[LARGEST, 1]]], [[LARGEST, 0, -1], [0, 1], [0]]),
        "zero": pf.ReLUNetwork([flat, np.zeros((2, 3)), np.zeros((1, 2))], [np.zeros(3), np.zeros(2), np.zeros(1)]),
        "dead layer": pf.ReLUNetwork([RNG.standard_normal((3, 2)), np.zeros((2, 3)), [[1, 1]]], [np.ones(3), -np.ones(2), [0]]),
        "repeated rows": pf.ReLUNetwork([[[1, 2]] * 3, [[1, -1, 1]] * 2, [[1, -1]]], [[1] * 3, [0.5] * 2, [0]]),
        "thirds": scaled(lambda s: 1).exact(),
    }  # fmt: skip


DOMAINS = {
    "everywhere": None, "box": pf.Box([-1, -1], [1, 1]), "point": pf.Box([0.5, 0.25], [0.5, 0.25]),
    "largest point": pf.Box([LARGEST, -LARGEST], [LARGEST, -LARGEST]), "segment": pf.Box([0.5, -1], [0.5, 1]),
    "largest box": pf.Box([-LARGEST] * 2, [LARGEST] * 2),
    "slanted": pf.Polyhedron([[1, 1], [-1, -1], [1, 0], [-1, 0]], [1, -1, 2, 2]),
}  # fmt: skip
NETWORKS = ("network", "net", "a", "b", "f", "g", "first", "second", "model")
SKIPPED = {"watch", "report", "plot", "write_cells", "write_network", "save", "show_versions", "load"}


def questions(net: pf.ReLUNetwork, domain: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is asked of a network on a domain, by name."""
    for name, call in fits.calls():
        package, last = name.split(".")[0], name.split(".")[-1]
        if last in SKIPPED or package in ("complex", "everywhere", "network", "box") or not callable(call):
            continue
        try:
            places = inspect.signature(call).parameters
        except (TypeError, ValueError):
            continue
        given = fits.fitting(package)
        values = {p.name: given[p.name] for p in places.values() if p.default is p.empty and p.name in given}
        if len(values) < sum(p.default is p.empty and p.kind not in (2, 4) for p in places.values()):
            continue
        if package == "linear" or package == "dln" or not (set(NETWORKS) & set(places) or "networks" in places):
            continue
        values |= {k: net for k in NETWORKS if k in values}
        values |= {"networks": [net, net]} if "networks" in values else {}
        values |= {"domain": domain} if "domain" in places else {}
        yield name, lambda call=call, values=values, places=places: fits._used(_called(call, places, values))

    kept: dict[str, Any] = {}

    def value(kind: str) -> Any:
        if kind not in kept:
            kept[kind] = {
                "complex": lambda: pf.canonical_complex(net, domain),
                "level set": lambda: value("complex").level_set(0),
                "bends": lambda: value("complex").breakpoint_complex(),
                "region": lambda: pf.region(net, value("complex").interior_points(exact=True)[0], domain=domain),
                "polytopes": lambda: value("complex").polytopes,
                "network": lambda: net,
                "domain": lambda: domain,
                "ranges": lambda: pf.activation_bounds(net, domain),
            }[kind]()
        return kept[kind]

    kinds = {
        "complex": pf.PolyhedralComplex, "level set": PolyhedralSet, "bends": BreakpointComplex, "region": type(pf.region(fits.NET, [0, 0])),
        "network": pf.ReLUNetwork,
    }  # fmt: skip
    if domain is not None:
        kinds |= {"domain": type(domain)}
    for kind, of in kinds.items():
        for name in dir(of):
            static = inspect.getattr_static(of, name)
            if name.startswith("_") or name in SKIPPED:
                continue
            if not isinstance(static, classmethod | staticmethod) and not inspect.isfunction(static):
                yield f"{kind}.{name}", lambda kind=kind, name=name: getattr(value(kind), name)
                continue
            places = dict(
                list(inspect.signature(getattr(of, name)).parameters.items())[
                    not isinstance(static, classmethod | staticmethod) :
                ]
            )
            values = {
                p.name: fits.FITTING[p.name] for p in places.values() if p.default is p.empty and p.name in fits.FITTING
            }
            if len(values) == sum(p.default is p.empty and p.kind not in (2, 4) for p in places.values()):
                yield (
                    f"{kind}.{name}",
                    lambda kind=kind, name=name, values=values, places=places: fits._used(
                        _called(getattr(value(kind), name), places, values)
                    ),
                )


def _called(call: Callable[..., Any], places: Any, values: dict[str, Any]) -> Any:
    front: list[Any] = []
    for name, place in places.items():
        if name in values and place.kind is place.VAR_POSITIONAL:
            front += values[name]
        elif name in values and place.kind is not place.KEYWORD_ONLY:
            front.append(values[name])
        elif place.kind is place.POSITIONAL_OR_KEYWORD:
            front.append(place.default)
    return call(*front, **{k: v for k, v in values.items() if places[k].kind is inspect.Parameter.KEYWORD_ONLY})


def attack(only: str, seconds: float) -> tuple[int, list[str]]:
    tried, wrong, place = 0, [], os.getcwd()
    before = signal.signal(signal.SIGVTALRM, fits._late)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for title, net in networks().items():
                for where, domain in DOMAINS.items():
                    for name, ask in questions(net, domain):
                        if only not in f"{title} {where} {name}":
                            continue
                        tried += 1
                        try:
                            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
                            with np.errstate(all="raise"):
                                ask()
                        except PolyfiberError:
                            pass
                        except TookTooLong:
                            wrong.append(f"{title}, {where}: {name}: no answer in {seconds:g} s of CPU")
                        except Exception as error:
                            at = _place(error)
                            wrong.append(f"{title}, {where}: {name}: {type(error).__name__}: {str(error)[:80]} [{at}]")
                        finally:
                            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        finally:
            os.chdir(place)
            signal.signal(signal.SIGVTALRM, before)
    return tried, wrong


def _place(error: Exception) -> str:
    step, at = error.__traceback__, ""
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if "/polyfiber/" in file:
            at = f"{file.split('/polyfiber/')[-1]}:{step.tb_lineno}"
        step = step.tb_next
    return at


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="calls whose network, domain and name hold this text")
    parser.add_argument("--seconds", type=float, default=10, help="of CPU for each call")
    options = parser.parse_args()
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", PolyfiberDeprecationWarning)
    tried, wrong = attack(options.only, options.seconds)
    for line in wrong:
        print("WRONG", line)
    print(f"{tried} calls, {len(wrong)} that ended otherwise")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
