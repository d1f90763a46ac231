"""Commands about fibers: classify, minimize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..errors import GenericityError, IncompleteError, InputError
from ..words import about, at_most, widths
from ..words import count as counted
from .complexes import network_facts
from .options import NETWORK, Drawn, Limits, Output, Where, grouped, refuse
from .outputs import NETWORKS, require_writable
from .render import leave, note, shown, table, tell

ONLY_CHAINS = "the theorems are about ReLU chains alone, and this network has other gates or connections"
FAR = "Weights far away are not excluded. Next: polyfiber equiv compares with another network."
BASES = {"theorem": "by a theorem", "computed": "computed", "evidence": "evidence"}
LISTED = 8
"""Findings of one kind that the text spells out; JSON has all."""


def classify(
    file: Path = NETWORK,
    local: bool = typer.Option(
        False, "--local", help="Also count the directions in which the weights can move, from the complex."
    ),
    components: int = typer.Option(0, "--components", min=0, help="Print up to so many components of the fiber."),
    sign_error: float = typer.Option(
        None,
        "--sign-error",
        metavar="E",
        min=0.0,
        max=0.999,
        help="Relative accuracy of the weights; 4 units of rounding by default.",
    ),
    limit: int = typer.Option(
        2048,
        "--limit",
        min=1,
        help="Conditions on the weights to check, of each kind; where there are more, only so many, and no proof.",
    ),
    bounds_only: bool = typer.Option(False, "--bounds", help="Judge neurons by bounds, never by the complex."),
    *,
    where: Where,
    drawn: Drawn,
    limits: Limits,
    printed: Output,
) -> None:
    """Say which other weights compute the same function: how many, of which kind, why, and how sure that is.

    Exit code 3 when that is not decided, or the local dimension that was asked for is not. --components and --sample give the
    part of the fiber that is known, of a single point at worst: exit code 4 where no part is.
    """
    from collections import Counter
    from itertools import islice

    from ..complexes.build import canonical_complex
    from ..fibers.classify import classify_fiber
    from ..fibers.dimension import local_fiber
    from ..network.piecewise import PiecewiseLinearNetwork
    from ..network.readers import read_network

    if drawn.sample is None:
        refuse(("--seed",), "only with --sample")
    else:
        require_writable(drawn.sample, "the sample", endings=NETWORKS)
    net = read_network(file)
    domain = where.domain_of(net)
    if isinstance(net, PiecewiseLinearNetwork) and not net.is_chain:
        if components or drawn.sample is not None:
            raise InputError(f"there are no components to list or to sample: {ONLY_CHAINS}")
        _classify_gates(net, file, domain, where.named(net), local, limits, printed)
        return
    more: dict[str, Any] = {"max_faces": 0} if bounds_only else {}
    if sign_error is not None:
        more["sign_error"] = sign_error
    report = classify_fiber(net, limit=limit, domain=domain, budget=limits.budget, **more)
    regime = report.regime
    answer: dict[str, Any] = {
        "network": network_facts(net),
        "domain": where.named(net),
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
            "applies": regime.applies and domain is None,
            "generic": regime.generic.value if regime.bottleneck else None,
            "sign_margin": regime.sign_margin,
            "first_layer_margin": regime.first_layer_margin,
            "product_margin": regime.product_margin,
            "position_margin": regime.position_margin,
            "violations": list(regime.violations),
            "assumed": list(regime.assumed),
        },
        "findings": [_finding(f) for f in report.findings],
        "activity_from": report.facts.source,
        "activity_by": dict(Counter(m for of in report.facts.methods for m in of)),
        "activity_fallback": list(report.facts.fallback),
        "notes": list(report.notes),
        "grounds": [{"basis": g.basis, "statement": g.statement} for g in report.grounds],
    }
    if report.beyond is not None:
        answer["dimension_bounds"] = list(report.beyond.bounds)
    open_question = report.identifiable is None
    if local:
        try:
            there = None if domain is None else canonical_complex(net, domain, budget=limits.budget)
            found = local_fiber(net, regions=there, budget=limits.budget)
            answer["local"] = _local(found)
        except (IncompleteError, GenericityError) as error:
            note(f"no local dimension: {' '.join(str(error).split())}", quiet=printed.quiet)
            open_question = True
    if components > 0:
        if report.kind == "undecided":
            raise InputError(
                f"--components: the fiber is not decided, so its components are not known. {report.sentence}"
            )
        answer["components"] = [str(c) for c in islice(report.components(), components)]
    if drawn.sample is not None:
        other = report.sample(1, rng=drawn.seed)[0]
        other.save(drawn.sample)
        answer["sample"] = {"file": str(drawn.sample), "same_weights": other == net}
        note(f"wrote {drawn.sample}", quiet=printed.quiet)
    sentence = report.sentence
    if "local" in answer and report.kind == "undecided":
        sentence = sentence.split(" Next: --local")[0]  # it was asked for, and follows
        sentence += f" {found.sentence} {FAR}"
    if drawn.sample is not None and answer["sample"]["same_weights"]:
        alone = report.kind in ("identifiable", "rigid")
        why = (
            "no others are known, up to permuting neurons and rescaling" if alone else "another --seed may draw others"
        )
        sentence += f" {drawn.sample} holds the very same weights: {why}."
    if tell(sentence, answer, json=printed.json):
        _print_report(answer, str(file))
    if open_question:
        raise typer.Exit(3)


def _classify_gates(
    net: Any, file: Path, domain: Any, where: str, local: bool, limits: Limits, printed: Output
) -> None:
    """What is said of a network that is no chain: findings about gates, and the local dimension."""
    from collections import Counter

    from ..complexes.build import canonical_complex, estimate_size
    from ..fibers.dimension import local_fiber
    from ..fibers.gates.findings import MOST_FACES, gate_findings

    faces = estimate_size(net, domain)["faces"]
    few = faces <= MOST_FACES
    cx = canonical_complex(net, domain, budget=limits.budget) if few or local else None
    looked = cx is not None or domain is not None
    found = gate_findings(net, domain, complex=cx, budget=limits.budget) if looked else ()
    kinds = Counter(f.kind for f in found if f.frees)
    answer: dict[str, Any] = {
        "network": network_facts(net),
        "domain": where,
        "kind": "undecided",
        "identifiable": False if kinds else None,
        "reason": ONLY_CHAINS,
        "findings": [_finding(f) for f in found],
        "activity_from": "complex" if cx is not None else "bounds" if looked else None,
    }
    on = "" if domain is None else " on the domain"
    told = ", ".join(GATES[kind].format(counted(n, "gate"), be="is" if n == 1 else "are") for kind, n in kinds.items())
    if kinds:
        sentence = f"The weights are not determined by the function{on}: {told}. How large the family is, is not known: {ONLY_CHAINS}."
    else:
        why = (
            "nothing was found that frees them"
            if looked
            else f"{about(faces)} faces are too many to look for what does"
        )
        sentence = f"Not decided whether the function determines the weights{on}: {ONLY_CHAINS}; {why}."
    if not looked:
        sentence += " Next: --domain lo,hi judges every gate on a box, by bounds."
    elif few and not local:
        sentence += " Next: --local counts the directions in which the weights can move."
    rows = [("architecture", widths(net.architecture))]
    for kind in dict.fromkeys(f.kind for f in found):
        texts = [f.text for f in found if f.kind == kind]
        rows += [(kind, text) for text in texts[:LISTED]]
        rows += [(kind, f"and {len(texts) - LISTED} more, all of them with --json")] * (len(texts) > LISTED)
    if local:
        near = local_fiber(net, regions=cx, budget=limits.budget)
        answer["local"] = _local(near)
        sentence += f" {near.sentence} {FAR}"
        rows.append(("functional dimension", f"{near.functional_dimension} over {counted(near.n_regions, 'region')}"))
        rows.append(("local dimension modulo scaling", str(near.dimension)))
    if tell(sentence, answer, json=printed.json):
        table(rows, header=("", str(file)))
    raise typer.Exit(3)


GATES = {
    "dead": "{} {be} never active",
    "linear": "{} {be} on one side of the wall throughout",
    "unused": "{} {be} not read by anything",
    "duplicate": "{} {be} a multiple of another one",
    "opposite": "{} {be} a negative multiple of another one",
    "invisible": "{} {be} without any visible bend",
}
"""What frees weights, by the kind of finding."""


def _finding(f: Any) -> dict[str, Any]:
    neurons = [{"layer": f.layer, "neuron": i} for i in f.neurons]
    return {"kind": f.kind, "layer": f.layer, "neurons": neurons, "by": f.by, "frees": f.frees}


def _local(found: Any) -> dict[str, Any]:
    """The local dimension as JSON has it."""
    return {
        "functional_dimension": found.functional_dimension,
        "dimension": found.dimension,
        "raw_dimension": found.raw_dimension,
        "regions": found.n_regions,
        "proven": found.proven,
    }


def _print_report(answer: dict[str, Any], title: str) -> None:
    regime = answer["regime"]
    words = {True: "yes", False: "no", None: "undecided"}
    rows = [
        ("architecture", "-".join(map(str, answer["network"]["architecture"]))),
        *([] if answer["kind"] == "undecided" else [("kind", answer["kind"])]),
        ("identifiable", words[answer["identifiable"]]),
        ("reason", answer["reason"]),
        ("dimension modulo scaling", "-" if answer["dimension"] is None else str(answer["dimension"])),
        ("all components listed", words[answer["complete"]]),
        ("last hidden layer", ", ".join(f"{n} {role}" for role, n in answer["roles"].items()) or "-"),
    ]
    if len(answer["network"]["architecture"]) == 4:
        other = any(g["basis"] == "theorem" for g in answer["grounds"])
        no = "does not apply; another theorem does" if other else "does not apply"
        rows.append(("theorem for two hidden layers", "applies" if regime["applies"] else no))
    if regime["generic"] is not None:
        rows.append(("generic", regime["generic"]))
    if regime["bottleneck"] and not regime["violations"]:
        margins = ("sign", "first_layer", "product", "position")
        rows.append(("margins", ", ".join(f"{m.replace('_', ' ')} {shown(regime[m + '_margin'])}" for m in margins)))
    rows += [("assumed", text) for text in regime["assumed"]]
    by = ", ".join(f"{count} by {name}" for name, count in answer["activity_by"].items())
    rows += [("activity of neurons", by)] * bool(by) + [("not reached", text) for text in answer["activity_fallback"]]
    counts: dict[tuple[str, int], int] = {}
    for f in answer["findings"]:
        counts[f["kind"], f["layer"]] = counts.get((f["kind"], f["layer"]), 0) + 1
    rows += [("found", f"{n} {kind} in layer {layer}") for (kind, layer), n in counts.items()]
    rows += [("note", text) for text in answer["notes"]]
    rows += [(BASES[g["basis"]], g["statement"]) for g in answer["grounds"]]
    if "dimension_bounds" in answer and answer["dimension"] is None:
        low, high = answer["dimension_bounds"]
        rows.append(("dimension", f"at least {low}" + ("" if high is None else f", at most {high}")))
    if "local" in answer:
        local = answer["local"]
        rows.append(
            ("functional dimension", f"{local['functional_dimension']} over {counted(local['regions'], 'region')}")
        )
        rows.append(("local dimension modulo scaling", str(local["dimension"])))
    rows += [("component", text) for text in answer.get("components", [])]
    if "sample" in answer:
        rows.append(("sample", "the same weights" if answer["sample"]["same_weights"] else "other weights"))
    table(rows, header=("", title))


def minimize(
    file: Path = NETWORK,
    output: Path = typer.Option(None, "-o", "--output", metavar="FILE", help="Write the smaller network."),
    epsilon: float = typer.Option(
        0.0, "--epsilon", min=0.0, help="Allow every output to change by so much on the domain."
    ),
    tolerance: float = typer.Option(
        1e-13, "--tolerance", min=0.0, help="Relative distance at which neurons count as copies of each other."
    ),
    bounds_only: bool = typer.Option(False, "--bounds", help="Decide activity by bounds, never by the complex."),
    prove: bool = typer.Option(False, "--prove", help="Prove that the result computes the same function."),
    depth: bool = typer.Option(False, "--depth", help="Also take out layers that act affinely on what reaches them."),
    *,
    where: Where,
    limits: Limits,
    printed: Output,
) -> None:
    """Drop, merge and re-factor neurons that the function does not need: a smaller network of the same depth.

    It is the smallest that these moves reach, which may not be the smallest there is. With --prove exit code 1 when the
    functions differ, 3 when that is not decided; the network is written all the same.
    """
    from ..equivalence.minimize import minimize as run
    from ..network.readers import read_network

    if epsilon > 0 and where.everywhere:
        raise typer.BadParameter("--epsilon bounds the change on a bounded domain; give --domain lo,hi")
    if output is not None:
        require_writable(output, "the network", endings=NETWORKS)
    net = read_network(file)
    result = run(
        net, domain=where.domain_of(net), tolerance=tolerance, use_complex=False if bounds_only else None,
        epsilon=epsilon, prove=prove, depth=depth, budget=limits.budget,
    )  # fmt: skip
    check = result.verify(use_complexes=not bounds_only)
    answer: dict[str, Any] = {
        "network": network_facts(net),
        "architecture": list(result.network.architecture),
        "saved_neurons": result.saved_neurons,
        "saved_parameters": result.saved_parameters,
        "moves": list(result.steps),
        "domain": where.named(net),
        "bound": result.bound,
        "dropped": [{"layer": layer, "neuron": neuron} for layer, neuron in result.dropped],
        "activity_from": result.source,
        "activity_decided_by": list(result.decided_by),
        "undecided": list(result.undecided),
        "largest_relative_difference": check.relative,
        "compared_at": {"points": check.points, "source": check.source},
    }
    if result.kept is None and epsilon == 0:
        least = result.lower_bounds
        layers = enumerate(zip(least.widths, least.reasons), 1)
        answer["lower_bounds"] = {
            "layers": [{"layer": layer, "neurons": width, "reason": why} for layer, (width, why) in layers],
            "neurons": least.total,
            "reason": least.total_reason,
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
    if tell(result.sentence, answer, json=printed.json):
        _print_minimized(answer, result, check, str(file))
    if prove:
        leave(check.verdict)


def _print_minimized(answer: dict[str, Any], result: Any, check: Any, title: str) -> None:
    net = result.original
    rows = [
        ("architecture", "-".join(map(str, net.architecture)) + " -> " + "-".join(map(str, answer["architecture"]))),
        ("saved", f"{counted(answer['saved_neurons'], 'neuron')}, {counted(answer['saved_parameters'], 'parameter')}"),
        *((f"move {i}", text if len(text) < 160 else text[:157] + "...") for i, text in enumerate(answer["moves"], 1)),
        ("function kept on", answer["domain"]),
        ("activity decided from", result.source),
        *([("decided by", ", ".join(result.decided_by))] if result.decided_by else []),
        ("compared", f"{check.relative:.2g} relative at {counted(check.points, 'point')} ({check.source})"),
        *(("undecided", text) for text in answer["undecided"]),
    ]
    if "lower_bounds" in answer:
        least = answer["lower_bounds"]
        for own in least["layers"]:
            text = f"{own['neurons']} in any network of this depth: {own['reason']}"
            rows.append((f"least width {own['layer']}", text))
        rows.append(("least altogether", f"{least['neurons']}: {least['reason']}"))
    if result.epsilon > 0:
        rounding = "" if net.is_exact else ", up to rounding,"
        rows.append(("bound on the change", f"{at_most(result.bound)}{rounding} on the domain"))
    if result.proof is not None:
        rows.append(
            (
                "same function" if result.epsilon == 0 else "within epsilon",
                f"{check.verdict.value}: {result.proof.reason} ({result.proof.method})",
            )
        )
    table(rows, header=("", title))


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command()(grouped(classify))
    app.command()(grouped(minimize))
