"""Table ``complexes``: faces and bounded faces by dimension, and how far the network is from a degenerate one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...budget import Budget
from ...complexes.build import canonical_complex
from ...complexes.complex import PolyhedralComplex
from ...complexes.genericity import genericity
from ...complexes.local.explore import explore
from ...errors import PolyfiberError
from ..fields import boolean, integer
from .base import Column, Item, Option, Options, Table

EXPLORED = 1000
"""Regions up to which a row is checked by walking from region to region."""


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    (item,) = items
    cx = item.complex
    item.check_memory(sum(cx.f_vector) * cx._store.bytes_per_face, "the table of all faces")
    bounded = [int((~cx.is_unbounded(k)).sum()) for k in range(cx.dimension + 1)]
    columns: dict[str, Any] = {
        "network": [item.id],
        "dimension": [cx.dimension],
        "lineality": [cx.lineality_dimension],
        "neurons": [item.network.n_hidden],
        "domain_facets": [cx._frame.n_domain],
        "simple": [cx.is_simple],
        "f_vector": [list(cx.f_vector)],
        "bounded": [bounded],
    }
    if options["genericity"]:
        columns |= _margins(item, cx, options["regions"])
    if options["lipschitz"]:
        columns["lipschitz"] = [cx.lipschitz(2).value]
    yield TABLE.batch(options, columns)


def _margins(item: Item, cx: PolyhedralComplex, regions: int) -> dict[str, Any]:
    found = genericity(item.network, item.domain, max_regions=regions, complex=cx)
    worst = found.worst_product
    return {
        "supertransversal": [found.supertransversal.value],
        "full_rank_products": [found.full_rank_products.value],
        "honest": [found.honest.value],
        "cancellation_free": [found.cancellation_free.value],
        "breaking_faces": [found.n_breaking],
        "unbent_ridges": [found.unbent_ridges],
        "cancelling_facets": [found.cancelling_facets],
        "vertex_margin": [found.vertex_margin],
        "product_margin": [None if worst is None else worst.singular_value],
        "weight_margin": [found.weight_margin],
    }


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Small complexes anew: every decision in exact arithmetic, and by walking from region to region."""
    for row in rows:
        f = row["f_vector"]
        if len(f) != row["dimension"] + 1 or row["dimension"] + row["lineality"] != item.network.architecture[0]:
            yield f"an f-vector of {len(f)} entries, dimension {row['dimension']} and lineality {row['lineality']}"
            continue
        if any(b > c for b, c in zip(row["bounded"], f)) or row["bounded"][0] != f[0]:
            yield f"bounded faces {row['bounded']} of {f}"
        if f[-1] > EXPLORED:
            continue
        anew = canonical_complex(item.network, item.domain, inflate=1e16)
        if list(anew.f_vector) != f:
            yield f"f-vector {f} in the file, {list(anew.f_vector)} with every decision in exact arithmetic"
        if not row["simple"]:
            continue
        try:
            walked = explore(
                item.network, _start(item, row), domain=item.domain, max_regions=EXPLORED + 1, budget=Budget(seconds=20)
            )
        except PolyfiberError as error:
            yield f"the regions cannot be walked: {error}"
            continue
        if walked.complete and len(walked.signs) != f[-1]:
            yield f"{f[-1]} regions in the file, {len(walked.signs)} by walking through facets"


def _start(item: Item, row: Mapping[str, Any]) -> np.ndarray:
    """A point inside the domain, on no wall of a generic network."""
    n0 = item.network.architecture[0]
    direction = np.random.default_rng(row["network"]).standard_normal(n0)
    if item.domain is None:
        return direction
    from ...complexes.local.projections import chebyshev_center

    centre, radius = chebyshev_center(item.domain.A, item.domain.b)
    step = 0.5 * min(radius, 1.0) / float(np.linalg.norm(direction))
    return np.asarray(centre + step * direction, dtype=np.float64)


_VERDICT = "yes, no or undecided: "

TABLE = Table(
    name="complexes",
    doc="One row per network: its canonical polyhedral complex by numbers.",
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("dimension", "int16", "Dimension d of the regions in the essential quotient."),
        Column("lineality", "int16", "Dimension of the directions that no wall cuts; the quotient divides them out."),
        Column("neurons", "int32", "Hidden neurons."),
        Column("domain_facets", "int32", "Inequalities of the domain; 0 on all of R^n.", "1"),
        Column("simple", "bool", "Whether every k-face lies on exactly d - k walls (supertransversal)."),
        Column("f_vector", "list<int64>", "Faces of dimension 0, …, d.", "faces"),
        Column("bounded", "list<int64>", "Bounded faces of dimension 0, …, d.", "faces"),
        Column("lipschitz", "float64", "Largest spectral norm over the regions.", "output/input", option="lipschitz"),
        Column("supertransversal", "string", _VERDICT + "every k-face on d - k walls.", option="genericity"),
        Column(
            "full_rank_products",
            "string",
            _VERDICT + "masked products of the weights have the largest rank that their sizes allow.",
            option="genericity",
        ),
        Column("honest", "string", _VERDICT + "every ridge on walls of two layers bends.", option="genericity"),
        Column(
            "cancellation_free",
            "string",
            _VERDICT + "every facet with an active path to the outputs is visible.",
            option="genericity",
        ),
        Column("breaking_faces", "int64", "Faces on more walls than their codimension.", "faces", option="genericity"),
        Column("unbent_ridges", "int64", "Ridges on walls of two layers that do not bend.", option="genericity"),
        Column("cancelling_facets", "int64", "Facets with an active path and weight zero.", option="genericity"),
        Column(
            "vertex_margin",
            "float64",
            "Least distance of a vertex to a wall that it does not lie on; null unless supertransversal.",
            "input",
            nullable=True,
            option="genericity",
        ),
        Column(
            "product_margin",
            "float64",
            "Least relative singular value of a masked product that must not vanish; null where there is none.",
            nullable=True,
            option="genericity",
        ),
        Column(
            "weight_margin",
            "float64",
            "Least weight of a facet relative to the sum of its paths' absolute values; null unless supertransversal.",
            nullable=True,
            option="genericity",
        ),
    ),
    rows=_rows,
    check=_check,
    options=(
        Option("genericity", True, boolean, "Verdicts and margins of genericity."),
        Option("regions", 500, integer(1), "Regions whose masked products are looked at."),
        Option("lipschitz", True, boolean, "The exact Lipschitz constant in the Euclidean norms."),
    ),
)
