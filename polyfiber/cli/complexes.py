"""Commands about complexes: info, complex, demo."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..budget import Monitor
from ..errors import BudgetExceededError, InputError
from .options import Limits, Output, Streamed, grouped
from .outputs import draw_complex, new_figure, require_writable
from .render import note, progress_line, table, to_json

if TYPE_CHECKING:
    from ..domain import Box
    from ..network.model import ReLUNetwork


MOST_REGIONS = 2_000_000
"""Up to which the Lipschitz constant is worked out unasked."""


def parse_box(text: str, dimension: int) -> Box:
    """A box from ``lo,hi`` (every coordinate) or ``lo1,hi1,lo2,hi2,…``."""
    from ..domain import Box

    try:
        numbers = [float(part) for part in text.replace(":", ",").split(",") if part.strip()]
    except ValueError:
        raise InputError(f"cannot read the box {text!r}; expected numbers such as -1,1 or 0,1,0,2") from None
    if len(numbers) == 2:
        return Box(numbers[0], numbers[1], dimension=dimension)
    if len(numbers) == 2 * dimension:
        return Box(numbers[0::2], numbers[1::2])
    raise InputError(
        f"the box {text!r} has {len(numbers)} numbers; the network has {dimension} inputs, so expected 2 or {2 * dimension}"
    )


def make_budget(seconds: float | None, memory: str | None) -> Any:
    """Budget of the options ``--seconds`` and ``--memory``."""
    from ..budget import Budget

    return Budget(seconds=seconds, memory=memory)


def network_facts(net: ReLUNetwork) -> dict[str, Any]:
    """What the file says, as plain data; of what was folded only the largest changes."""
    facts = {k: v for k, v in net.source.items() if isinstance(v, str | int | float | bool | list | tuple | None)}
    if "folding" in facts:
        facts["folding"] = [
            {k: v for k, v in record.items() if not k.endswith("_bounds")} for record in net.source["folding"]
        ]
    return {"architecture": list(net.architecture), **facts}


def info(
    file: Path = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet"),
    pilots: int = typer.Option(
        0, "--pilots", help="Also estimate the complex from so many blocks, with standard errors."
    ),
    box: str = typer.Option(None, "--box", help="What fits on a domain lo,hi or lo1,hi1,lo2,hi2,…; on R^n by default."),
    seconds: float = typer.Option(60.0, "--seconds", help="With --pilots: time budget."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """What a network file holds, how large its complex is expected to be, and what can be asked about it."""
    from ..complexes.build import estimate_size
    from ..complexes.feasibility import feasibility
    from ..network.model import ReLUNetwork
    from ..network.readers import read_network
    from ..network.summary import describe, describe_piecewise

    net = read_network(file)
    if not isinstance(net, ReLUNetwork):
        facts = describe_piecewise(net)
        if json:
            to_json(facts)
        else:
            table([(key.replace("_", " "), _show(value)) for key, value in facts.items()], header=("", str(file)))
        return
    facts = dict(describe(net))
    domain = None if box is None else parse_box(box, net.architecture[0])
    size = estimate_size(net, domain)
    where = "R^n" if domain is None else "the box"
    facts[f"expected complex on {where}"] = size
    questions = feasibility(net, domain)
    facts["questions"] = [vars(q) for q in questions]
    estimate = stopped = None
    if pilots:
        from ..complexes.blocks.estimate import pilot_estimate

        try:
            estimate = pilot_estimate(net, domain, pilots=pilots, budget=make_budget(seconds, None))
        except BudgetExceededError as error:
            stopped = error  # the rest is known all the same
        facts["estimate"] = None if estimate is None else vars(estimate)
    if json:
        to_json(facts)
        if stopped is not None:
            raise stopped
        return
    rows = [
        (key.replace("_", " "), _show(value))
        for key, value in facts.items()
        if key not in (f"expected complex on {where}", "questions", "estimate")
    ]
    rows.append((f"expected vertices on {where}", _show(size["vertices"])))
    rows.append((f"expected faces on {where}", _show(size["faces"])))
    rows.append(("skeleton, MB", _show(round(size["skeleton_bytes"] / 1e6, 3))))
    rows.append(("all faces, MB", _show(round(size["all_faces_bytes"] / 1e6, 3))))
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
        raise stopped


def _rough(value: float) -> float:
    """Two digits of an estimate."""
    return float(f"{value:.2g}")


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_show(v)}" for k, v in value.items()) or "-"
    if isinstance(value, list | tuple):
        numbers = len(value) > 0 and all(isinstance(v, int) for v in value)
        return "-".join(map(str, value)) if numbers else ", ".join(map(_show, value)) or "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)


def complex_(
    file: Path = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet"),
    box: str = typer.Option(None, "--box", help="Domain lo,hi or lo1,hi1,lo2,hi2,…; all of R^n by default."),
    save: Path = typer.Option(None, "--save", help="Write the complex to an archive, .npz or .zarr."),
    plot: Path = typer.Option(None, "--plot", help="Draw the regions (2 inputs), or the slice along the first two."),
    count: bool = typer.Option(False, "--count", help="Only count the faces."),
    verify: bool = typer.Option(False, "--verify", help="Check the certificate anew."),
    *,
    streamed: Streamed,
    limits: Limits,
    output: Output,
) -> None:
    """Every region and every lower face of a network, certified."""
    from ..complexes.archive import archive_format
    from ..complexes.build import canonical_complex, face_counts
    from ..network.readers import read_chain as read_network
    from .streams import partial_shown
    from .streams import stream as write_stream

    started = time.perf_counter()
    if streamed.stream is None:
        given = {"--dims": streamed.dims, "--format": streamed.file_format, "--resume": streamed.resume}
        given |= {"--maps": streamed.maps, "--vertices": streamed.vertices}
        _refuse(given, "only with --stream")
    if streamed.stream is not None:
        _refuse({"--count": count, "--save": save, "--plot": plot}, "not with --stream, which holds no complex")
    elif count:
        _refuse({"--verify": verify, "--save": save, "--plot": plot}, "not with --count, which keeps no faces")
    else:
        _refuse({"--workers": streamed.workers != 1}, "only with --stream or --count")
    if save is not None:
        require_writable(save, "the archive", folder=archive_format(save) == "zarr")
    if plot is not None:
        new_figure(plot, (1, 1))
    net = read_network(file)
    domain = parse_box(box, net.architecture[0]) if box is not None else None
    budget = limits.budget
    monitor = Monitor(budget)
    progress = progress_line(quiet=output.quiet or output.json)
    answer: dict[str, Any] = {"network": network_facts(net), "domain": box or "R^n"}
    if streamed.stream is not None:
        held = write_stream(net, domain, streamed, verify=verify, budget=budget, progress=progress, output=output)
        if not held:
            raise typer.Exit(1)
        return
    if count:
        with partial_shown(net, domain, json=output.json):
            counts = face_counts(net, domain, workers=streamed.workers, budget=budget, progress=progress)
        answer |= {"f_vector": list(counts), "seconds": time.perf_counter() - started}
        _print_complex(answer, output.json, title=str(file))
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
        note(f"saved {save}", quiet=output.quiet)
    if plot is not None:
        draw_complex(net, cx, plot)
        note(f"drew {plot}", quiet=output.quiet)
    _print_complex(answer, output.json, title=str(file))
    if stopped is not None:
        raise stopped
    if verify and not answer["verified"]["ok"]:
        raise typer.Exit(1)


def _refuse(given: dict[str, Any], when: str) -> None:
    """A usage error if one of these options was given."""
    for name, value in given.items():
        if value:
            raise typer.BadParameter(f"{name} goes {when}")


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


def _print_complex(answer: dict[str, Any], json: bool, *, title: str) -> None:
    if json:
        to_json(answer)
        return
    f = answer["f_vector"]
    names = {0: "vertices", 1: "edges", len(f) - 1: "regions"}
    if len(f) > 3:
        names[len(f) - 2] = "facets"
    rows = [(k, names.get(k, f"{k}-faces"), count) for k, count in enumerate(f)]
    widths = "-".join(map(str, answer["network"]["architecture"]))
    table(rows, header=("dimension", "", "faces"), title=f"{title}: {widths} on {answer['domain']}")
    if "decisions" in answer:
        d = answer["decisions"]
        each = f" ({1e3 * d['exact_seconds'] / d['exact']:.2g} ms each)" if d["exact"] else ""
        print(f"signs decided: {d['filtered']} filtered, {d['structural']} structural, {d['exact']} exact{each}")
        print(f"Euler characteristic {answer['euler_characteristic']}, lineality {answer['lineality_dimension']}")
    if answer.get("lipschitz"):
        print(f"Lipschitz constant {answer['lipschitz']['value']:.9g} (2-norm), region {answer['lipschitz']['region']}")
    if answer.get("verified"):
        v = answer["verified"]
        print(
            f"certificate {'verified' if v['ok'] else 'REFUTED'}: {v['signs']} signs and {v['edges']} edges checked anew"
        )
    print(f"{answer['seconds']:.3g} s")


def demo(
    plot: Path = typer.Option(None, "--plot", help="Also draw the regions to an image."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """A small network from nothing: its complex, certificate, weights and Lipschitz constant."""
    from ..complexes.build import canonical_complex
    from ..network.model import ReLUNetwork

    if plot is not None:
        new_figure(plot, (1, 1))
    net = ReLUNetwork.random((2, 12, 12, 1), rng=7)
    cx = canonical_complex(net)
    bp = cx.breakpoint_complex()
    check = cx.certificate.verify()
    facts = {
        "network": "-".join(map(str, net.architecture)),
        "f_vector": list(cx.f_vector),
        "euler_characteristic": cx.euler_characteristic,
        "certificate": "verified" if check.ok else "refuted",
        "signs_checked": check.signs,
        "visible_facets": len(bp.facets),
        "balancing_residual": bp.balance(),
        "lipschitz": cx.lipschitz().value,
    }
    if plot is not None:
        draw_complex(net, cx, plot)
    if json:
        to_json(facts)
    else:
        table(
            [(k.replace("_", " "), _show(v)) for k, v in facts.items()], header=("demo", "a random 2-12-12-1 network")
        )
        print("Next: polyfiber complex YOUR_NETWORK.onnx", file=sys.stderr)


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("info")(info)
    app.command("complex")(grouped(complex_))
    app.command("demo")(demo)
