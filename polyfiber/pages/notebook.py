"""Results in notebooks: a line, a small table, and a picture where one is quick."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

from ..complexes.complex import PolyhedralComplex
from ..complexes.topology.sets import PolyhedralSet
from ..equivalence.answer import Equivalence
from ..equivalence.minimize import MinimizeResult
from ..errors import MissingDependencyError, PolyfiberError
from ..fibers.classify import FiberReport
from ..linear.strata import RankStratification
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork
from ..verdict import Verdict
from .sections import LONGEST, count, number, point

MOST_DRAWN = 3000
"""Regions up to which a complex in a notebook comes with its picture."""

MOST_ROWS = 12


def html_of(value: Any) -> str:
    """A result as a notebook shows it; plain text is escaped.

    Parameters
    ----------
    value : network, complex, set, verdict, fiber, strata, equivalence, smaller network or dataset

    Examples
    --------
    >>> import polyfiber as pf
    >>> "yes" in html_of(pf.Verdict.YES)
    True
    """
    for kind, rows in _ROWS:
        if isinstance(value, kind):
            said = getattr(value, "sentence", "")
            text = f"<p>{escape(str(said))}</p>" * bool(said) + _table(type(value).__name__, rows(value))
            return _encodable(text) + _picture(value)
    if type(value).__name__ == "Dataset":
        return _table("Dataset", [(name, f"{count(len(view), 'row')}") for name, view in value.items()])
    return f"<pre>{escape(repr(value))}</pre>"


def _encodable(text: str) -> str:
    """Text without what UTF-8 has no bytes for: names of files hold such characters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    shown = list(rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        shown.append(("…", f"{len(rows) - MOST_ROWS} more"))
    body = "".join(
        f'<tr><th style="text-align:left">{escape(a)}</th><td style="text-align:left">{escape(b[:LONGEST])}</td></tr>'
        for a, b in shown
    )
    return f"<table><caption>{escape(title)}</caption><tbody>{body}</tbody></table>"


def _picture(value: Any) -> str:
    """A small complex or set of at most two inputs, where matplotlib is installed."""
    cx = value if isinstance(value, PolyhedralComplex) else value.complex if isinstance(value, PolyhedralSet) else None
    if cx is None or cx.network.architecture[0] > 2 or cx.n_regions > MOST_DRAWN or cx.network.n_hidden == 0:
        return ""
    try:
        return image(value)
    except (PolyfiberError, MissingDependencyError, ValueError, ArithmeticError, RecursionError):
        return ""  # numbers that matplotlib has no axis for


def image(value: Any) -> str:
    """The picture of a value as an element of HTML."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib", extra="plot", purpose="drawing") from None
    figure = Figure(figsize=(6, 4), layout="constrained")
    title = value.plot(figure.add_subplot()).get_title()
    stream = io.BytesIO()
    figure.savefig(stream, dpi=100, format="png")
    text = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{text}">'


def _network(net: Any) -> list[tuple[str, str]]:
    rows = [("widths", "-".join(map(str, net.architecture))), ("parameters", number(net.n_parameters))]
    rows.append(("hidden neurons", number(net.n_hidden)))
    rows.append(("numbers", "rationals" if net.is_exact else "float64"))
    return rows + [(key, str(net.source[key])) for key in ("file", "format", "head") if net.source.get(key)]


def _complex(cx: PolyhedralComplex) -> list[tuple[str, str]]:
    c = cx.certificate
    rows = [(f"faces of dimension {k}", number(n)) for k, n in enumerate(cx.f_vector)]
    rows.append(
        ("domain", "all inputs" if cx.domain is None else f"{count(cx.domain.n_facets, 'inequality', 'inequalities')}")
    )
    rows.append(("signs decided", f"{c.filtered:,} by bounds, {c.structural:,} by rank, {c.exact:,} in rationals"))
    return rows


def _set(found: PolyhedralSet) -> list[tuple[str, str]]:
    rows = [("what", found.description)]
    return rows + [(f"cells of dimension {k}", number(n)) for k, n in enumerate(found.f_vector)]


def _verdict(value: Verdict) -> list[tuple[str, str]]:
    return [("answer", value.value)]


def _fiber(report: FiberReport) -> list[tuple[str, str]]:
    found = {True: "yes", False: "no", None: "undecided"}[report.identifiable]
    rows = [("identifiable", found), ("kind", report.kind), ("why", report.reason)]
    if report.dimension is not None:
        rows.append(("dimension modulo scaling", number(report.dimension)))
    return rows + [("found", f.text) for f in report.findings]


def _strata(strata: RankStratification) -> list[tuple[str, str]]:
    rows = [("widths", ", ".join(map(str, strata.widths))), ("strata", number(len(strata)))]
    rows.append(("maximal", number(len(strata.maximal()))))
    return rows


def _equivalence(found: Equivalence) -> list[tuple[str, str]]:
    rows = [("same function", found.verdict.value), ("method", found.method), ("why", found.reason)]
    if found.witness is not None:
        rows.append(("they differ at", point(found.witness)))
    return rows


def _smaller(result: MinimizeResult) -> list[tuple[str, str]]:
    before, after = ("-".join(map(str, n.architecture)) for n in (result.original, result.network))
    rows = [("widths", f"{before} → {after}"), ("saved", count(result.saved_parameters, "parameter"))]
    return rows + [("move", text) for text in result.steps]


_ROWS: tuple[tuple[Any, Any], ...] = (
    ((ReLUNetwork, PiecewiseLinearNetwork), _network),
    (PolyhedralComplex, _complex),
    (PolyhedralSet, _set),
    (Verdict, _verdict),
    (FiberReport, _fiber),
    (RankStratification, _strata),
    (Equivalence, _equivalence),
    (MinimizeResult, _smaller),
)
