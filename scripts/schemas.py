"""Write the JSON Schemas of the commands, docs/schemas/*.json, from what the code of each command can say (FORMS).

    python scripts/schemas.py

A command has one or more forms of document; each is closed: a key that FORMS does not know is an error of the tests
(tests/cli/test_schemas.py), on networks of every kind. What a key means stands in MEANING; a key without one is an error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

Schema = dict[str, Any]
PLACE = ROOT / "docs" / "schemas"
MEANING: dict[str, str] = json.loads((PLACE / "meaning.json").read_text())

# ---- values: the ways in which cli/render.py writes them --------------------------------------------
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer"}
REAL: Schema = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf"]}, {"type": "null"}]}
"""A float: infinities as text, nothing for what is not a number."""
EXACT: Schema = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?(inf|\d+(/\d+)?)$"}, {"type": "null"}]
}
"""A float, or a rational: as text where it is beyond all floats."""
VERDICT: Schema = {"enum": ["yes", "no", "undecided"]}


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return {"enum": list(values)}


def many(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


def named(values: Schema) -> Schema:
    """An object whose keys are data."""
    return {"type": "object", "additionalProperties": values}


def maybe(schema: Schema) -> Schema:
    """Or null: not known, or does not apply."""
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def record(**fields: Schema) -> Schema:
    """A closed object; fields whose name ends in ``_may`` may be missing."""
    return {
        "type": "object",
        "properties": {name.removesuffix("_may"): schema for name, schema in fields.items()},
        "required": [name for name in fields if not name.endswith("_may")],
        "additionalProperties": False,
    }


ANY: Schema = {}
PLAIN: Schema = {"type": ["string", "number", "boolean", "array", "object", "null"]}
"""A value of a specification: whatever TOML holds."""
NEURON = record(layer=COUNT, neuron=COUNT)
COLUMN: Schema = {"anyOf": [NEURON, record(domain_facet=COUNT)]}
FOLDED = record(layer=COUNT, operations_may=many(TEXT), exact=FLAG, weight_error=REAL, bias_error=REAL)
FACTS: dict[str, Schema] = {
    "file_may": TEXT, "format_may": TEXT, "dtype_may": maybe(TEXT), "head_may": maybe(TEXT), "producer_may": TEXT,
    "keras_may": TEXT, "notes_may": many(TEXT), "folding_may": many(FOLDED),
}  # fmt: skip
NETWORK = record(architecture=many(COUNT), **FACTS)
NAME: dict[str, Schema] = {"file": maybe(TEXT), "format": maybe(TEXT), "dtype": maybe(TEXT), "head": maybe(TEXT)}
GROUPS = many(many(NEURON))
FACES: Schema = many(COUNT)
SIGNS = named(COUNT)

# ---- the documents ----------------------------------------------------------------------------------
_INFO: dict[str, Schema] = {
    "architecture": many(COUNT), "parameters": COUNT, "arithmetic": one_of("float64", "exact"), **NAME, "notes": many(TEXT),
    "folding": many(FOLDED), "domain": TEXT,
    "expected": record(vertices=COUNT, faces=COUNT, skeleton_bytes=COUNT, all_faces_bytes=COUNT),
    "questions": many(record(name=TEXT, fits=FLAG, seconds=REAL, bytes=REAL, note=TEXT)),
    "estimate_may": maybe(record(
        f_vector=many(REAL), f_errors=many(REAL), bounded=many(REAL), bounded_errors=many(REAL), seconds=REAL,
        seconds_error=REAL, pilots=COUNT, spent=REAL, exact=FLAG,
    )),
}  # fmt: skip
_SET: dict[str, Schema] = {
    "set": TEXT, "f_vector": FACES, "dimension": COUNT, "compact": FLAG, "components": COUNT,
    "support": one_of("bounded", "compactified", "borel-moore"), "field": COUNT, "betti_numbers": many(COUNT),
    "euler_characteristic": COUNT, "verified_may": FLAG, "cells_compared_may": COUNT, "problems_may": many(TEXT),
}  # fmt: skip
_FINDING = record(kind=TEXT, layer=COUNT, neurons=many(NEURON), by=TEXT, frees=FLAG)
_LOCAL = record(functional_dimension=COUNT, dimension=COUNT, raw_dimension=COUNT, regions=COUNT, proven=FLAG)
_SEGMENT: dict[str, Schema] = {
    "pieces": COUNT, "t": many(REAL), "t_errors": many(REAL), "neurons": many(many(COLUMN)), "exact_events": COUNT,
    "values": many(many(REAL)),
}  # fmt: skip
_RUN: dict[str, Schema] = {
    "directory": TEXT, "partitions": COUNT, "done": COUNT, "kept": COUNT, "failures": many({"type": "array"}),
    "networks": COUNT, "failed": COUNT, "skipped": COUNT, "rows": SIGNS, "bytes": SIGNS, "stats": named(PLAIN), "complete": FLAG,
}  # fmt: skip
FORMS: dict[str, list[dict[str, Schema]]] = {
    "info": [
        _INFO | {
            "depth": COUNT, "hidden_neurons": COUNT, "zero_weights": many(COUNT), "zero_biases": many(COUNT),
            "bottleneck": FLAG, "dead": many(NEURON), "constant": many(NEURON), "unused": many(NEURON),
            "duplicate_rows": GROUPS, "proportional_rows": maybe(GROUPS), "first_layer_rank": maybe(COUNT),
            "first_layer_rank_certified": FLAG,
        },
        _INFO | {
            "input_shape": many(COUNT), "blocks": COUNT, "gates": SIGNS, "wiring": many(many(COUNT)), "nonzeros": COUNT,
        },
    ],
    "complex": [
        {
            "network": NETWORK, "domain": TEXT, "f_vector": FACES, "dimension": COUNT, "lineality_dimension": COUNT,
            "euler_characteristic": COUNT,
            "decisions": record(
                filtered=COUNT, structural=COUNT, exact=COUNT, settled_neurons=COUNT, exact_seconds=REAL
            ),
            "lipschitz": maybe(record(value=REAL, region=COUNT)), "seconds": REAL,
            "verified_may": maybe(record(ok=FLAG, signs=COUNT, edges=COUNT, problems=many(TEXT))),
        },
        {"network": NETWORK, "domain": TEXT, "f_vector": FACES, "seconds": REAL},
        {
            "complete": FLAG, "f_vector": FACES, "bounded": FACES, "blocks": COUNT, "decisions": named(REAL),
            "verified": maybe(FLAG), "fingerprints": named(many(TEXT)),
            "missing": many(record(path=many(many(COUNT)), A=many(many(REAL)), b=many(REAL))), "seconds": REAL,
        },
    ],
    "demo": [{
        "network": TEXT, "f_vector": FACES, "euler_characteristic": COUNT, "verified": FLAG, "signs_checked": COUNT,
        "visible_facets": COUNT, "balancing_residual": REAL, "lipschitz": record(value=REAL, region=COUNT),
    }],
    "region": [{
        "domain": TEXT, "active": COUNT, "neurons": COUNT, "facets": COUNT, "bounded": VERDICT, "distance_to_boundary": REAL,
        "inscribed_radius": REAL, "inscribed_radius_certified": REAL, "rows_decided_exactly": COUNT,
        "walls": many({"anyOf": [
            record(layer=COUNT, neuron=COUNT, distance=REAL), record(domain_facet=COUNT, distance=REAL),
        ]}),
        "point": many(EXACT), "signs": many(COUNT), "facet_columns": many(COUNT), "center": many(REAL),
        "affine_map": record(A=many(many(EXACT)), a=many(EXACT)),
    }],
    "explore": [{
        "domain": TEXT, "closed": COUNT, "open": COUNT, "complete": FLAG, "facets_between": COUNT,
        "walls_crossed_at_most": COUNT, "regions_per_second": REAL, "seconds": REAL,
    }],
    "slice": [
        {
            "domain": TEXT, "directions": many(many(REAL)), "f_vector": FACES, "euler_characteristic": COUNT,
            "restriction_exact": FLAG, "restriction_rounding": REAL, "seconds": REAL,
        },
        {
            "f_vector": FACES, "euler_characteristic": COUNT, "restriction_exact": FLAG, "gates_that_differ": COUNT,
            "gates_that_are_constant": COUNT, "signs_decided_in_integers": COUNT,
            "share_of_regions_with_such_a_sign": REAL, "seconds": REAL, "decision_boundary_segments_may": COUNT,
            "decision_boundary_length_may": REAL, "level_set_segments_may": COUNT, "level_set_length_may": REAL,
            "blocks": many(record(
                block=COUNT, regions=COUNT, area_mean=REAL, area_median=REAL, area_least=REAL, area_largest=REAL,
                eccentricity_mean=REAL, in_ball_may=maybe(COUNT),
            )),
        },
    ],
    "segment": [_SEGMENT, {"segments": many(record(**_SEGMENT))}],
    "bounds": [{
        "domain": TEXT,
        "layers": many(record(
            layer=COUNT, neurons=COUNT, always_active=COUNT, never_active=COUNT, both_signs_seen=COUNT, undecided=COUNT,
            gap=REAL, by=SIGNS,
        )),
        **{name: many(REAL) for name in (
            "lower", "upper", "output_lower", "output_upper", "attained_lower", "attained_upper",
        )},
        "lower_at": many(many(REAL)), "upper_at": many(many(REAL)), "largest_gap": REAL, "signs": many(COUNT),
        "methods": many(TEXT), "fallback": many(TEXT), "simplified": maybe(many(COUNT)),
    }],
    "levelset": [_SET],
    "boundary": [_SET | {"pairs_that_meet_may": SIGNS, "size_may": REAL}],
    "classify": [
        {
            "network": NETWORK, "domain": TEXT, "kind": TEXT, "identifiable": maybe(FLAG), "reason": TEXT,
            "dimension": maybe(COUNT), "raw_dimension": maybe(COUNT), "complete": FLAG, "hidden_hyperplane": maybe(COUNT),
            "roles": SIGNS,
            "regime": record(
                bottleneck=FLAG, applies=FLAG, generic=maybe(VERDICT), sign_margin=REAL, first_layer_margin=REAL,
                product_margin=REAL, position_margin=REAL, violations=many(TEXT), assumed=many(TEXT),
            ),
            "findings": many(_FINDING), "activity_from": TEXT, "activity_by": SIGNS, "activity_fallback": many(TEXT),
            "notes": many(TEXT), "grounds": many(record(basis=TEXT, statement=TEXT)),
            "dimension_bounds_may": many(maybe(COUNT)), "local_may": _LOCAL, "components_may": many(TEXT),
            "sample_may": record(file=TEXT, same_weights=FLAG),
        },
        {
            "network": NETWORK, "domain": TEXT, "kind": TEXT, "identifiable": maybe(FLAG), "reason": TEXT,
            "findings": many(_FINDING), "activity_from": maybe(TEXT), "local_may": _LOCAL,
        },
    ],
    "minimize": [{
        "network": NETWORK, "architecture": many(COUNT), "saved_neurons": COUNT, "saved_parameters": COUNT,
        "moves": many(TEXT), "domain": TEXT, "bound": EXACT, "dropped": many(NEURON), "activity_from": TEXT,
        "activity_decided_by": many(TEXT), "undecided": many(TEXT), "largest_relative_difference": REAL,
        "compared_at": record(points=COUNT, source=TEXT),
        "lower_bounds_may": record(
            layers=many(record(layer=COUNT, neurons=COUNT, reason=TEXT)), neurons=COUNT, reason=TEXT
        ),
        "proof_may": record(
            verdict=VERDICT, method=TEXT, reason=TEXT, within=one_of("epsilon", "tolerance", "exact"), tolerance=REAL,
            epsilon=EXACT, bound=EXACT, proved=REAL,
        ),
    }],
    "equiv": [
        {
            "first": NETWORK, "second": NETWORK, "domain": TEXT, "question": TEXT, "tolerance_may": REAL,
            "exact_verdict_may": VERDICT, "bound_may": EXACT, "moves_may": many(TEXT), "verdict": VERDICT, "method": TEXT,
            "reason": TEXT, "proved_share": REAL, "certificate": named(PLAIN),
            "everywhere_may": record(constant=REAL, slope=REAL, text=TEXT), "proved_may": TEXT,
            "witness_may": record(input=many(EXACT), outputs=many(many(EXACT)), gap=EXACT, proof=TEXT), "seconds": REAL,
            "recheck_may": record(verdict=VERDICT, reason=TEXT, checks=many(TEXT), seconds=REAL, text=TEXT),
            "difference_may": record(
                maximum=EXACT, upper=EXACT, where=maybe(many(EXACT)), output=COUNT, complete=FLAG, method=TEXT,
                regions=COUNT,
            ),
        }
    ],
    "dedupe": [{
        "networks": COUNT, "n_classes": COUNT,
        "classes": many(record(**{"class": COUNT}, representative=TEXT, members=many(TEXT))), "undecided": many(many(TEXT)),
        "unreadable": named(TEXT), "labels": many(COUNT), "stats": named(PLAIN),
    }],
    "strata": [
        {"widths": many(COUNT), "rank": maybe(COUNT), "strata": COUNT},
        {
            "widths": many(COUNT), "rank": maybe(COUNT), "bias": FLAG, "ambient_dim": COUNT, "count": COUNT,
            "columns": many(TEXT),
            "strata": many(record(
                id=COUNT, ranks=many(COUNT), dim_in_weights=COUNT, dim_in_fiber=COUNT, dim=COUNT, dof=COUNT, rdof=COUNT,
            )),
            "edges": many(record(lower=COUNT, upper=COUNT, move=many(COUNT), kind=TEXT, layer=maybe(COUNT))),
            "maximal": many(COUNT),
        },
    ],
    "stratum": [{
        "widths": many(COUNT), "verdict": VERDICT, "exact": FLAG, "tolerance": REAL,
        "ranks": many(record(k=COUNT, i=COUNT, rank=COUNT)),
        "gaps": many(record(
            k=COUNT, i=COUNT, kept=REAL, dropped=REAL, threshold=REAL, certain=FLAG, low=COUNT, high=COUNT
        )),
        "dim_in_weights_may": COUNT, "dim_in_fiber_may": COUNT, "dim_may": COUNT, "dof_may": COUNT, "rdof_may": COUNT, "codim_may": COUNT,
        "bars_may": many(record(**{"from": COUNT}, to=COUNT, multiplicity=COUNT)), "connected_parts_may": COUNT,
    }],
    "geodesic": [{
        "shape": many(COUNT), "rank": COUNT, "depth": REAL, "length": REAL, "solved": FLAG, "method": TEXT, "residual": REAL,
        "lower_bound": REAL, "chord": REAL, "shortest": FLAG, "local_minimum": maybe(VERDICT), "conjugate_points": maybe(COUNT),
        "homotopy_classes": REAL, "homotopy": maybe(many(COUNT)),
        "tried": many(record(**{"from": TEXT}, length=REAL, homotopy=maybe(many(COUNT)))),
    }],
    "critical": [{
        "widths": many(COUNT), "count": COUNT,
        "strata": many(record(
            ranks=many(COUNT), rank=COUNT, critical=VERDICT, everywhere=FLAG, kind=TEXT, kinds=many(TEXT), loss=REAL,
            index=maybe(COUNT), nullity=maybe(COUNT),
        )),
    }],
    "verify": [{
        "file": TEXT, "kind": one_of("answer", "archive", "cells", "dataset", "dataset row"), "verdict": VERDICT, "claim": TEXT,
        "found_by_may": TEXT, "checks": many(TEXT), "reason": TEXT, "seconds_may": REAL,
    }],
    "report": [{
        "page": TEXT, "title": TEXT, "page_bytes": COUNT, "regions_drawn": COUNT,
        "sections": many(record(name=TEXT, question=TEXT, answer=TEXT, verdict=maybe(VERDICT))), "seconds": REAL,
    }],
    "prove": [{
        "query": TEXT, "network_files": named(TEXT), "status": one_of("sat", "unsat", "unknown"), "reason": TEXT,
        "boxes": COUNT, "proved_share": REAL, "seconds": REAL, "inputs": many(many(TEXT)), "outputs": many(many(TEXT)),
    }],
    "dataset plan": [{
        "format": TEXT, "format_version": COUNT, "fingerprint": TEXT, "versions": named(TEXT), "resolved": named(PLAIN),
        "partitions": many(record(
            index=COUNT, source=TEXT, networks=many(COUNT),
            seed=record(entropy=COUNT, spawn_key=many(COUNT), offset=COUNT), part_may=COUNT, blocks_may=many(named(PLAIN)),
        )),
        "cost": maybe(many(record(
            source=TEXT, networks=COUNT, sampled=COUNT, skipped=COUNT, regions=REAL, seconds=REAL, rows=named(REAL),
            bytes=named(REAL),
        ))),
    }],
    "dataset run": [_RUN],
    "dataset finish": [{"manifest": named(PLAIN)}],
    "dataset validate": [{
        "directory": TEXT, "ok": FLAG, "problems": many(TEXT), "files": COUNT, "rows": SIGNS, "redone": many(COUNT),
        "undecided": SIGNS, "reasons": many(TEXT), "unknown": many(TEXT),
    }],
}  # fmt: skip
STOPPED: dict[str, Schema] = {
    "stopped": record(
        command=TEXT, reason=TEXT, limit=maybe(one_of("seconds", "memory", "seconds or memory")), option=maybe(TEXT),
        budget=REAL, so_far=REAL,
    ),
}  # fmt: skip
"""What every command says that is stopped before there is an answer: by a budget, or by what is not done yet."""


def schema(command: str, help_text: str) -> Schema:
    """The schema of one command."""
    forms = []
    for form in (*FORMS[command], STOPPED):
        closed = record(answer=TEXT, **form)
        for key in closed["properties"]:
            if key not in MEANING:
                raise SystemExit(f"no meaning in docs/schemas/meaning.json for {key}")
            closed["properties"][key] = {"description": MEANING[key], **closed["properties"][key]}
        forms.append(closed)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"polyfiber {command} --json",
        "description": help_text,
        "anyOf": forms,
    }


def schemas() -> dict[str, Schema]:
    """Names of files, and what they hold."""
    from tests.cli.cases import commands

    found = {}
    for command, parsed in commands():
        text = " ".join((parsed.help or "").split("\n\n")[0].split())
        found[f"{command.replace(' ', '-')}.json"] = schema(command, text)
    return found


if __name__ == "__main__":
    for name, document in schemas().items():
        (PLACE / name).write_text(json.dumps(document, indent=1) + "\n")
