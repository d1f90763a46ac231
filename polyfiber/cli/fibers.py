"""Commands about fibers: classify, minimize."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import typer

from ..errors import GenericityError, IncompleteError
from ..numerics.rounding import UNIT
from .complexes import network_facts, parse_box
from .options import Drawn, Limits, Output, grouped
from .render import note, table, to_json


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def classify(
    file: Path = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet"),
    local: bool = typer.Option(False, "--local", help="Also the local fiber dimension, from the complex."),
    components: int = typer.Option(0, "--components", help="Print up to so many components."),
    sign_error: float = typer.Option(4 * UNIT, "--sign-error", help="Relative accuracy of the weights."),
    limit: int = typer.Option(2048, "--limit", help="Masked products and minors to check for genericity."),
    box: str = typer.Option(None, "--box", help="Judge neurons on this box only: lo,hi or lo1,hi1,lo2,hi2,…"),
    bounds_only: bool = typer.Option(False, "--bounds", help="Judge neurons by bounds, never by the complex."),
    *,
    drawn: Drawn,
    limits: Limits,
    printed: Output,
) -> None:
    """Which parameters compute the same function: kind, dimension, reasons, margins.

    Exit code 3 when identifiability, or the local dimension that was asked for, is not decided.
    """
    from collections import Counter
    from itertools import islice

    from ..fibers.classify import classify_fiber
    from ..fibers.dimension import local_fiber
    from ..network.readers import read_chain as read_network

    net = read_network(file)
    domain = None if box is None else parse_box(box, net.architecture[0])
    report = classify_fiber(
        net, limit=limit, sign_error=sign_error, domain=domain, budget=limits.budget,
        **({"max_faces": 0} if bounds_only else {}),
    )  # fmt: skip
    regime = report.regime
    answer: dict[str, Any] = {
        "network": network_facts(net),
        "kind": report.kind,
        "identifiable": report.identifiable,
        "reason": report.reason,
        "dimension": report.dimension,
        "raw_dimension": report.raw_dimension,
        "complete": report.complete,
        "hidden_hyperplane": report.hidden_hyperplane,
        "roles": {role: report.roles.count(role) for role in dict.fromkeys(report.roles)},
        "regime": {
            "bottleneck": regime.bottleneck,
            "generic": regime.generic.value,
            "sign_margin": _number(regime.sign_margin),
            "first_layer_margin": _number(regime.first_layer_margin),
            "product_margin": _number(regime.product_margin),
            "position_margin": _number(regime.position_margin),
            "violations": list(regime.violations),
            "assumed": list(regime.assumed),
        },
        "findings": [
            {"kind": f.kind, "layer": f.layer, "neurons": list(f.neurons), "by": f.by} for f in report.findings
        ],
        "activity_from": report.facts.source,
        "activity_by": dict(Counter(m for of in report.facts.methods for m in of)),
        "activity_fallback": list(report.facts.fallback),
        "notes": list(report.notes),
    }
    open_question = report.identifiable is None
    if local:
        try:
            found = local_fiber(net, budget=limits.budget)
            answer["local"] = {
                "functional_dimension": found.functional_dimension,
                "dimension": found.dimension,
                "raw_dimension": found.raw_dimension,
                "regions": found.n_regions,
                "proven": found.proven,
            }
        except (IncompleteError, GenericityError) as error:
            note(f"no local dimension: {' '.join(str(error).split())}")
            open_question = True
    if components > 0 and report.kind != "undecided":
        answer["components"] = [str(c) for c in islice(report.components(), components)]
    if drawn.sample is not None:
        report.sample(1, rng=drawn.seed)[0].save(drawn.sample)
        note(f"wrote {drawn.sample}", quiet=printed.quiet)
    if printed.json:
        to_json(answer)
    else:
        _print_report(answer, str(file))
    if open_question:
        raise typer.Exit(3)


def _print_report(answer: dict[str, Any], title: str) -> None:
    regime = answer["regime"]
    words = {True: "yes", False: "no", None: "undecided"}
    rows = [
        ("architecture", "-".join(map(str, answer["network"]["architecture"]))),
        ("kind", answer["kind"]),
        ("identifiable", words[answer["identifiable"]]),
        ("reason", answer["reason"]),
        ("dimension modulo scaling", "-" if answer["dimension"] is None else str(answer["dimension"])),
        ("complete", words[answer["complete"]]),
        ("last hidden layer", ", ".join(f"{n} {role}" for role, n in answer["roles"].items()) or "-"),
        ("generic", regime["generic"]),
    ]
    if regime["bottleneck"] and not regime["violations"]:
        margins = ("sign", "first_layer", "product", "position")
        rows.append(("margins", ", ".join(f"{m.replace('_', ' ')} {regime[m + '_margin']:.3g}" for m in margins)))
    rows += [("assumed", text) for text in regime["assumed"]]
    by = ", ".join(f"{count} by {name}" for name, count in answer["activity_by"].items())
    rows += [("activity of neurons", by)] * bool(by) + [("not reached", text) for text in answer["activity_fallback"]]
    counts: dict[tuple[str, int], int] = {}
    for f in answer["findings"]:
        counts[f["kind"], f["layer"]] = counts.get((f["kind"], f["layer"]), 0) + 1
    rows += [("found", f"{n} {kind} in layer {layer}") for (kind, layer), n in counts.items()]
    rows += [("note", text) for text in answer["notes"]]
    if "local" in answer:
        local = answer["local"]
        rows.append(("functional dimension", f"{local['functional_dimension']} over {local['regions']} regions"))
        rows.append(("local dimension modulo scaling", str(local["dimension"])))
    rows += [("component", text) for text in answer.get("components", [])]
    table(rows, header=("", title))


def minimize(
    file: Path = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet"),
    output: Path = typer.Option(None, "-o", "--output", help="Write the smaller network."),
    epsilon: float = typer.Option(0.0, "--epsilon", help="Allow the function to change by so much on --box."),
    box: str = typer.Option(None, "--box", help="Keep the function on this box only: lo,hi or lo1,hi1,lo2,hi2,…"),
    tolerance: float = typer.Option(1e-13, "--tolerance", help="Relative distance at which neurons coincide."),
    bounds_only: bool = typer.Option(False, "--bounds", help="Decide activity by bounds, never by the complex."),
    prove: bool = typer.Option(False, "--prove", help="Prove that the result computes the same function."),
    *,
    limits: Limits,
    printed: Output,
) -> None:
    """The smallest network of the same depth with the same function: lossless compression.

    With --prove exit code 1 when the functions differ, 3 when that is not decided; the network is written all the same.
    """
    from ..equivalence.minimize import minimize as run
    from ..network.readers import read_chain as read_network

    net = read_network(file)
    lower = upper = None
    if box is not None:
        domain = parse_box(box, net.architecture[0])
        lower, upper = domain.lo, domain.hi
    result = run(
        net, tolerance=tolerance, use_complex=False if bounds_only else None, epsilon=epsilon, lower=lower,
        upper=upper, prove=prove, budget=limits.budget,
    )  # fmt: skip
    check = result.verify(use_complexes=not bounds_only)
    answer: dict[str, Any] = {
        "network": network_facts(net),
        "architecture": list(result.network.architecture),
        "saved_neurons": result.saved_neurons,
        "saved_parameters": result.saved_parameters,
        "moves": [str(m) for m in result.moves.moves],
        "kept_on": box or "R^n",
        "bound": result.bound,
        "dropped": [list(d) for d in result.dropped],
        "activity_from": result.source,
        "activity_decided_by": list(result.decided_by),
        "undecided": list(result.undecided),
        "largest_relative_difference": check.relative,
        "compared_at": {"points": check.points, "source": check.source},
    }
    if result.proof is not None:
        answer["proof"] = {
            "verdict": check.verdict.value,
            "method": result.proof.method,
            "reason": result.proof.reason,
            "within": "epsilon" if epsilon > 0 else ("tolerance" if result.proof.tolerance else "exact"),
            "tolerance": result.proof.tolerance,
            "epsilon": result.proof.epsilon,
            "bound": result.proof.bound,
            "proved": result.proof.proved,
        }
    if output is not None:
        result.network.save(output)
        note(f"wrote {output}", quiet=printed.quiet)
    if printed.json:
        to_json(answer)
    else:
        _print_minimized(answer, result, check, box, str(file))
    if prove:
        raise typer.Exit({"yes": 0, "no": 1, "undecided": 3}[check.verdict.value])


def _print_minimized(answer: dict[str, Any], result: Any, check: Any, box: str | None, title: str) -> None:
    net = result.original
    rows = [
        ("architecture", "-".join(map(str, net.architecture)) + " -> " + "-".join(map(str, answer["architecture"]))),
        ("saved", f"{answer['saved_neurons']} neurons, {answer['saved_parameters']} parameters"),
        *(("move", text if len(text) < 160 else text[:157] + "...") for text in answer["moves"]),
        ("function kept on", box or "all inputs"),
        ("activity decided from", result.source),
        *([("decided by", ", ".join(result.decided_by))] if result.decided_by else []),
        ("compared", f"{check.relative:.2g} relative at {check.points} points ({check.source})"),
        *(("undecided", text) for text in answer["undecided"]),
    ]
    if result.epsilon > 0:
        rows.append(("bound on the change", f"{result.bound:.6g} on the box"))
    if result.proof is not None:
        rows.append(("same function", f"{check.verdict.value}: {result.proof.reason} ({result.proof.method})"))
    table(rows, header=("", title))


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command()(grouped(classify))
    app.command()(grouped(minimize))
