"""Table ``complexes``: faces and bounded faces by dimension, and how far the network is from a degenerate one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...budget import Budget, Monitor
from ...complexes.complex import PolyhedralComplex
from ...complexes.genericity import genericity
from ...complexes.local.explore import explore
from ...errors import NumericalError, PolyfiberError
from ...network.model import ReLUNetwork
from ..checks.faces import (
    MOST_REGIONS,
    Faces,
    Unclear,
    all_faces,
    lipschitz,
    product_margin,
    unbent_ridges,
    vertex_margin,
    weight_margin,
)  # fmt: skip
from ..checks.whole import EXPLORED, exact_faces
from ..fields import boolean, integer
from .base import Column, Item, Option, Options, Table, Unsure, single

AGAIN = 60
"""Seconds for making a row again."""

MARGINS = 330
"""Bytes per face of the margins of genericity and of the Lipschitz constant."""


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    (item,) = items
    cx = item.complex
    # margins and norms look at each face with its forms and its points (measured on 3-24-24-1)
    deep = MARGINS if options["genericity"] or options["lipschitz"] else 0
    item.check_memory(item.held + sum(cx.f_vector) * (cx._store.bytes_per_face + deep), "the table of all faces")
    bounded = [int((~cx.is_unbounded(k)).sum()) for k in range(cx.dimension + 1)]
    columns: dict[str, Any] = {
        "network": [item.id],
        "dimension": [cx.dimension],
        "lineality": [cx.lineality_dimension],
        "neurons": [item.network.n_hidden],
        "domain_facets": [cx._frame.n_domain],
        "simple": [cx._store.crowded == 0],
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
        "unbent_ridges": [found.n_unbent_ridges],
        "cancelling_facets": [found.n_cancelling_facets],
        "vertex_margin": [found.vertex_margin],
        "product_margin": [None if worst is None else worst.singular_value],
        "weight_margin": [found.weight_margin],
    }


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """From the weights alone by linear programs and cdd; above 160 regions from signs in exact arithmetic, and by
    walking.

    Above 1000 regions the row is made again by the code that made it, which is no derivation: all its columns are
    undecided.
    """
    for row in rows:
        f = row["f_vector"]
        if len(f) != row["dimension"] + 1 or row["dimension"] + row["lineality"] != item.network.architecture[0]:
            yield f"an f-vector of {len(f)} entries, dimension {row['dimension']} and lineality {row['lineality']}"
            continue
        if len(row["bounded"]) != len(f) or any(b > c for b, c in zip(row["bounded"], f)) or row["bounded"][0] != f[0]:
            yield f"bounded faces {row['bounded']} of {f}"
        walls = 0 if item.domain is None else len(item.domain.b)
        if (row["neurons"], row["domain_facets"]) != (item.network.n_hidden, walls):
            yield f"{row['neurons']} neurons and {row['domain_facets']} domain facets; expected {item.network.n_hidden} and {walls}"
        names = [c.name for c in TABLE.columns_for(options) if c.name not in ("network", "neurons", "domain_facets")]
        try:
            with Monitor(Budget(seconds=AGAIN)).watching():
                (again,) = (made for batch in _rows([item], options) for made in batch.to_pylist())
        except PolyfiberError as error:
            yield Unsure(f"{', '.join(names)}: cannot be made again in {AGAIN} s: {error}")
            continue
        yield from _compared(row, {name: again[name] for name in names}, "made again")
        try:
            faces = _faces(item)
        except Unclear as error:
            yield Unsure(f"{', '.join(names)}: {error}; only made again by the same code")
            continue
        yield from _against_faces(item, row, faces, options)
        if len(faces.signs[-1]) > MOST_REGIONS and faces.breaking == 0:
            yield from _walked(item, row, len(faces.signs[-1]))


def _faces(item: Item) -> Faces:
    """Of few regions by other means altogether, of more by exact arithmetic."""
    regions = item.complex.n_regions
    if regions > EXPLORED:
        raise Unclear(f"more than {EXPLORED} regions")
    if regions <= MOST_REGIONS:
        try:
            return all_faces(item.network, item.domain)
        except Unclear:
            pass
    return exact_faces(item.network, item.domain)


def _against_faces(item: Item, row: Mapping[str, Any], faces: Faces, options: Options) -> Iterator[str]:
    """Every column from the faces; each that floats cannot judge is named."""
    net = item.network.rounded()
    made: dict[str, Any] = {
        "dimension": faces.dimension,
        "lineality": faces.lineality,
        "f_vector": [len(s) for s in faces.signs],
        "bounded": [int(b.sum()) for b in faces.bounded],
        "simple": faces.breaking == 0,
    }
    if options["lipschitz"]:
        made["lipschitz"] = lipschitz(net, faces)
    if options["genericity"]:
        made |= {"supertransversal": "yes" if faces.breaking == 0 else "no", "breaking_faces": faces.breaking}
        for names, derive in _margins_of(net, faces, options["regions"]):
            try:
                made |= derive()
            except Unclear as error:
                yield Unsure(f"{', '.join(names)}: {error}")
    yield from _compared(row, made, "from the weights alone")


def _margins_of(net: Any, faces: Faces, regions: int) -> Iterator[tuple[tuple[str, ...], Callable[[], dict[str, Any]]]]:
    """Columns, and what derives them."""

    def products() -> dict[str, Any]:
        if regions < len(faces.signs[-1]):
            raise Unclear("the table looks at some regions only")
        least, full = product_margin(net, faces) if isinstance(net, ReLUNetwork) else (None, None)
        verdict = "undecided" if full is None else "yes" if full else "no"  # no products where there are no layers
        return {"product_margin": least, "full_rank_products": verdict}

    def weights() -> dict[str, Any]:
        cancelling, weight = weight_margin(net, faces)
        return {
            "weight_margin": weight,
            "cancelling_facets": cancelling,
            "cancellation_free": "no" if cancelling else "yes",
        }

    def ridges() -> dict[str, Any]:
        unbent = unbent_ridges(net, faces)
        return {"unbent_ridges": unbent, "honest": "no" if unbent else "yes"}

    yield ("product_margin", "full_rank_products"), products
    if faces.breaking:
        none = dict.fromkeys(("vertex_margin", "weight_margin")) | {"unbent_ridges": 0, "cancelling_facets": 0}
        yield (), lambda: none | {"honest": "undecided", "cancellation_free": "undecided"}
        return
    yield ("weight_margin", "cancelling_facets", "cancellation_free"), weights
    yield ("unbent_ridges", "honest"), ridges
    yield ("vertex_margin",), lambda: {"vertex_margin": vertex_margin(net, faces)}


def _compared(row: Mapping[str, Any], made: Mapping[str, Any], how: str) -> Iterator[str]:
    for name, value in made.items():
        close = (
            isinstance(value, float)
            and isinstance(row[name], float)
            and math.isclose(value, row[name], rel_tol=1e-5, abs_tol=1e-12)
        )
        if row[name] != value and not close:
            yield f"{name} is {row[name]!r} in the file, {value!r} {how}"


def _walked(item: Item, row: Mapping[str, Any], regions: int) -> Iterator[str]:
    """As many regions by walking through facets."""
    try:
        walked = explore(
            item.network, _start(item, row), domain=item.domain, max_regions=EXPLORED + 1, budget=Budget(seconds=20)
        )
    except PolyfiberError as error:
        yield Unsure(f"the regions cannot be walked: {error}")
        return
    if walked.complete and len(walked.signs) != regions:
        yield f"{regions} regions in exact arithmetic, {len(walked.signs)} by walking through facets"


def _start(item: Item, row: Mapping[str, Any]) -> np.ndarray:
    """A point inside the domain, on no wall of a generic network."""
    n0 = item.network.architecture[0]
    direction = np.random.default_rng(row["network"]).standard_normal(n0)
    if item.domain is None:
        return direction
    from ...numerics.lp import interior_point

    found = interior_point(np.asarray(item.domain.A, dtype=np.float64), np.asarray(item.domain.b, dtype=np.float64))
    if found is None:
        raise NumericalError("the domain has no interior point that floats find")
    centre, radius = found
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
            "Least relative singular value of a masked product that must not vanish; null where there is none, and for gates.",
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
    whole=single,
    identity=("network",),
    options=(
        Option("genericity", True, boolean, "Verdicts and margins of genericity."),
        Option("regions", 500, integer(1), "Regions whose masked products are looked at."),
        Option("lipschitz", True, boolean, "The exact Lipschitz constant in the Euclidean norms."),
    ),
)
