"""Commands about complexes: info, complex, demo."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..budget import Monitor
from ..errors import BudgetExceededError
from ..words import count as counted
from ..words import place, widths
from .options import NETWORK, Limits, Output, Streamed, Where, grouped, refuse
from .outputs import draw_complex, new_figure, require_writable
from .render import facts as show_facts
from .render import note, shown, table, tell

if TYPE_CHECKING:
    from ..domain import Polyhedron

__all__ = ["make_budget", "network_facts", "register"]

MOST_REGIONS = 2_000_000
"""Up to which the Lipschitz constant is worked out unasked."""


def make_budget(seconds: float | None, memory: str | None) -> Any:
    """Budget of the options ``--seconds`` and ``--memory``."""
    from ..budget import Budget

    return Budget(seconds=seconds, memory=memory)


FILE_FACTS = ("dtype", "file", "format", "producer", "keras", "head")
FOLDING = ("layer", "operations", "exact", "weight_error", "bias_error")


def network_facts(net: Any) -> dict[str, Any]:
    """What the file says, as plain data; of what was folded only the largest changes."""
    facts: dict[str, Any] = {k: net.source[k] for k in FILE_FACTS if k in net.source}
    if "notes" in net.source:
        facts["notes"] = [str(text) for text in net.source["notes"]]
    if "folding" in net.source:
        facts["folding"] = [{k: record[k] for k in FOLDING if k in record} for record in net.source["folding"]]
    return {"architecture": list(net.architecture), **facts}


def _as_objects(neurons: list[list[int]]) -> list[dict[str, int]]:
    """Neurons as JSON names them."""
    return [{"layer": layer, "neuron": position} for layer, position in neurons]


def info(
    file: Path = NETWORK,
    pilots: int = typer.Option(
        0, "--pilots", min=0, help="Also estimate the complex from so many blocks, with standard errors."
    ),
    *,
    where: Where,
    limits: Limits,
    output: Output,
) -> None:
    """Say what a network file holds, how large its complex is expected to be, and which questions fit.

    Expected are the counts of hyperplanes in general position: those of a trained network are mostly within a factor of
    two, but one with a narrow first layer may have a tenth as many vertices. --pilots estimates from the network itself.

    Exit code 3 when the pilots did not end within --seconds (60 by default); the rest is printed all the same.
    """
    from ..complexes.build import size_of
    from ..complexes.feasibility import questions_of
    from ..complexes.skeleton.arrays import make_frame
    from ..network.model import ReLUNetwork
    from ..network.readers import read_network
    from ..network.summary import describe, describe_piecewise

    if not pilots:
        refuse(("--seconds", "--memory"), "only with --pilots; the rest takes no time")
    net = read_network(file)
    chain = isinstance(net, ReLUNetwork)
    facts = dict(describe(net) if isinstance(net, ReLUNetwork) else describe_piecewise(net))
    for name in ("dead", "constant", "unused") if chain else ():
        facts[name] = _as_objects(facts[name])
    for name in ("duplicate_rows", "proportional_rows") if chain else ():
        facts[name] = None if facts[name] is None else [_as_objects(group) for group in facts[name]]
    domain = where.domain_of(net)
    frame = make_frame(net, domain)
    size, questions = size_of(frame), questions_of(net, frame)
    facts |= {"domain": where.named(net), "expected": size, "questions": [vars(q) for q in questions]}
    estimate = stopped = None
    if pilots:
        from ..complexes.blocks.estimate import pilot_estimate

        seconds = 60.0 if limits.seconds is None else limits.seconds
        try:
            estimate = pilot_estimate(net, domain, pilots=pilots, budget=make_budget(seconds, limits.memory))
        except BudgetExceededError as error:
            stopped = error  # the rest is known all the same
        facts["estimate"] = None if estimate is None else vars(estimate)
    fits = [q.name for q in questions if q.fits]
    largest = "its whole complex can be enumerated here" if "canonical_complex" in fits else (
        "its whole complex is too large for 600 s and 4 GB; ask about regions, slices, bounds or pairs instead"
    )  # fmt: skip
    kind = "a ReLU network" if chain else "a piecewise-linear network"
    sentence = (
        f"{file} holds {kind} {widths(net.architecture)} with {counted(net.n_parameters, 'parameter')}; {largest}."
    )
    if stopped is not None:
        sentence += " The pilots did not end in time: give them more --seconds."
    if not chain:
        sentence += " It is no plain chain of layers and ReLUs: all but fibers can be asked of it."
    if tell(sentence, facts, json=output.json):
        rows = [
            (k.replace("_", " "), shown(v)) for k, v in facts.items() if k not in ("expected", "questions", "estimate")
        ]
        rows[0] = ("architecture", widths(net.architecture))
        rows += [(f"expected {k}", str(_few_digits(size[k]))) for k in ("vertices", "faces")]
        rows += [
            (f"{k}, MB", _megabytes(size[f"{n}_bytes"]))
            for k, n in (("skeleton", "skeleton"), ("all faces", "all_faces"))
        ]
        if estimate is not None:
            rows += [
                (f"estimated {k}-faces", f"{count:.6g} ± {error:.2g}")
                for k, (count, error) in enumerate(zip(estimate.f_vector, estimate.f_errors))
            ]
            rows.append(("estimated seconds by blocks", f"{estimate.seconds:.3g} ± {estimate.seconds_error:.2g}"))
        table(rows, header=("", str(file)))
        table(
            [(q.name, q.fits, _rough(q.seconds), _rough(q.bytes / 1e6), q.note) for q in questions],
            header=("what fits", "", "about s", "about MB", ""),
            title="in 600 s and 4 GB",
        )
    if stopped is not None:
        note(str(stopped), quiet=output.quiet)
        raise typer.Exit(3)


def _few_digits(count: int) -> int | str:
    """A count as a line can hold it: those of large networks have a hundred digits."""
    if count < 10**15:
        return count
    power = int(math.log10(count))
    return f"{count // 10 ** (power - 2) / 100:.2f}e+{power}"


def _megabytes(size: int) -> str:
    """Bytes in millions, however many."""
    return f"{_rough(size / 1e6):g}" if size < 10**8 else str(_few_digits(size // 10**6))


def _rough(value: float) -> float:
    """Two digits of an estimate."""
    return float(f"{value:.2g}")


def complex_(
    file: Path = NETWORK,
    save: Path = typer.Option(None, "--save", metavar="FILE", help="Write the complex to an archive, .npz or .zarr."),
    plot: Path = typer.Option(
        None, "--plot", metavar="FILE", help="Draw the regions of 2 inputs, or the slice along the first two of more."
    ),
    count: bool = typer.Option(False, "--count", help="Only count the faces, and keep none."),
    verify: bool = typer.Option(False, "--verify", help="Check the certificate anew: exit code 1 if it is refuted."),
    *,
    where: Where,
    streamed: Streamed,
    limits: Limits,
    output: Output,
) -> None:
    """Enumerate every region and every lower face of a network, each decision certified."""
    from ..complexes.archive import archive_format
    from ..complexes.build import canonical_complex, face_counts
    from ..network.readers import read_network
    from .streams import partial_shown
    from .streams import stream as write_stream

    started = time.perf_counter()
    if streamed.stream is None:
        refuse(("--dims", "--format", "--resume", "--maps", "--vertices"), "only with --stream")
    if streamed.stream is not None:
        refuse(("--count", "--save", "--plot"), "not with --stream, which holds no complex")
    elif count:
        refuse(("--verify", "--save", "--plot"), "not with --count, which keeps no faces")
    else:
        refuse(("--workers", "-w"), "only with --stream or --count")
    if save is not None:
        require_writable(save, "the archive", folder=save.suffix == ".zarr", endings=(".npz", ".zarr"))
        archive_format(save)
    if plot is not None:
        new_figure(plot, (1, 1))
    net = read_network(file)
    domain = where.domain_of(net)
    budget = limits.budget
    monitor = Monitor(budget)
    progress = output.progress
    answer: dict[str, Any] = {"network": network_facts(net), "domain": where.named(net)}
    if streamed.stream is not None:
        held = write_stream(net, domain, streamed, verify=verify, budget=budget, progress=progress, output=output)
        if not held:
            raise typer.Exit(1)
        return
    if count:
        with partial_shown(net, domain, json=output.json, again="Give it more --seconds, or a smaller domain."):
            counts = face_counts(net, domain, workers=streamed.workers, budget=budget, progress=progress)
        answer |= {"f_vector": list(counts), "seconds": time.perf_counter() - started}
        sentence = f"The network cuts {_ground(domain, net.architecture[0])} into {counted(counts[-1], 'region')}, certified; nothing was kept."
        _print_complex(sentence, answer, output.json, title=str(file))
        return
    cx = canonical_complex(net, domain, budget=budget, progress=progress)
    certificate = cx.certificate
    answer |= {
        "f_vector": list(cx.f_vector),
        "dimension": cx.dimension,
        "lineality_dimension": cx.lineality_dimension,
        "euler_characteristic": cx.euler_characteristic,
        "decisions": {
            "filtered": certificate.filtered,
            "structural": certificate.structural,
            "exact": certificate.exact,
            "settled_neurons": 0 if certificate.settled is None else len(certificate.settled),
            "exact_seconds": certificate.exact_seconds,
        },
        "lipschitz": _lipschitz(cx, monitor, quiet=output.quiet),
        "seconds": time.perf_counter() - started,
    }
    stopped = None
    if verify:
        try:
            with monitor.watching():
                check = certificate.verify()
            answer["verified"] = {
                "ok": check.ok, "signs": check.signs, "edges": check.edges, "problems": check.problems,
            }  # fmt: skip
        except BudgetExceededError as error:
            stopped, answer["verified"] = error, None  # the complex stands
    if save is not None:
        cx.save(save)
        note(f"wrote {save}", quiet=output.quiet)
    if plot is not None:
        draw_complex(net, cx, plot)
        note(f"drew {plot}", quiet=output.quiet)
    refuted = verify and answer["verified"] is not None and not answer["verified"]["ok"]
    sure = "REFUTED by the check" if refuted else (
        "every sign certified and checked anew" if answer.get("verified") else "every sign certified"
    )  # fmt: skip
    sentence = (
        f"The network cuts {_ground(domain, net.architecture[0])} into {counted(cx.n_regions, 'region')} on each of which it is affine; "
        f"the enumeration is complete, {sure}."
    )
    _print_complex(sentence, answer, output.json, title=str(file))
    if stopped is not None:
        note(str(stopped), quiet=output.quiet)
        raise typer.Exit(3)
    if refuted:
        raise typer.Exit(1)


def _ground(domain: Polyhedron | None, dimension: int) -> str:
    return place(domain, dimension).removeprefix("on ")


def _lipschitz(cx: Any, monitor: Monitor, *, quiet: bool) -> dict[str, Any] | None:
    if cx.n_regions > MOST_REGIONS:
        note(
            f"no Lipschitz constant: that of more than {MOST_REGIONS:,} regions is left to cx.lipschitz()", quiet=quiet
        )
        return None
    try:
        with monitor.watching():
            value = cx.lipschitz()
    except BudgetExceededError:
        note("no Lipschitz constant: the time is up", quiet=quiet)
        return None
    return {"value": value.value, "region": value.region}


def _print_complex(sentence: str, answer: dict[str, Any], json: bool, *, title: str) -> None:
    if not tell(sentence, answer, json=json):
        return
    f = answer["f_vector"]
    names = {0: "vertices", 1: "edges", len(f) - 1: "regions"}
    if len(f) > 3:
        names[len(f) - 2] = "facets"
    rows = [(k, names.get(k, f"{k}-faces"), count) for k, count in enumerate(f)]
    table(
        rows, header=("dimension", "", "faces"),
        title=f"{title}: {widths(answer['network']['architecture'])} on {answer['domain']}",
    )  # fmt: skip
    if "decisions" in answer:
        d = answer["decisions"]
        each = f" ({d['exact_seconds']:.2g} s for all)" if d["exact"] else ""
        print(f"signs decided: {d['filtered']} filtered, {d['structural']} structural, {d['exact']} exact{each}")
        print(f"Euler characteristic {answer['euler_characteristic']}, lineality {answer['lineality_dimension']}")
    if answer.get("lipschitz"):
        print(f"Lipschitz constant {answer['lipschitz']['value']:.9g} (2-norm), region {answer['lipschitz']['region']}")
    if answer.get("verified"):
        v = answer["verified"]
        print(
            f"certificate {'verified' if v['ok'] else 'REFUTED'}: {counted(v['signs'], 'sign')} and {counted(v['edges'], 'edge')} checked anew"
        )
    print(f"{answer['seconds']:.3g} s")


def demo(
    plot: Path = typer.Option(None, "--plot", metavar="FILE", help="Also draw the regions to an image."),
    *,
    output: Output,
) -> None:
    """Show what the engine does on a small network made from nothing: complex, certificate, weights, Lipschitz constant."""
    from ..complexes.build import canonical_complex
    from ..network.model import ReLUNetwork

    if plot is not None:
        new_figure(plot, (1, 1))
    net = ReLUNetwork.random((2, 12, 12, 1), rng=7)
    cx = canonical_complex(net, progress=output.progress)
    bp = cx.breakpoint_complex()
    check = cx.certificate.verify()
    facts = {
        "network": widths(net.architecture),
        "f_vector": list(cx.f_vector),
        "euler_characteristic": cx.euler_characteristic,
        "verified": check.ok,
        "signs_checked": check.signs,
        "visible_facets": len(bp.facets),
        "balancing_residual": bp.balancing_residual(),
        "lipschitz": {"value": cx.lipschitz().value, "region": cx.lipschitz().region},
    }
    if plot is not None:
        draw_complex(net, cx, plot)
        note(f"drew {plot}", quiet=output.quiet)
    sentence = (
        f"A random network {widths(net.architecture)} cuts the plane into {counted(cx.n_regions, 'region')}; every sign was "
        "certified, and checked anew by other code. Next: polyfiber complex YOUR_NETWORK.onnx"
    )
    if tell(sentence, facts, json=output.json):
        show_facts(facts, title="demo")


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("info")(grouped(info))
    app.command("complex")(grouped(complex_))
    app.command("demo")(grouped(demo))
