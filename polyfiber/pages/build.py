"""Make the page: ask, draw, write."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import words
from .._typing import FloatArray, IntArray, ProgressLike
from .._values.checked import shown
from .._version import __version__
from ..budget import Budget, Monitor
from ..complexes.build import canonical_complex, estimate_size
from ..domain import Box, Polyhedron
from ..equivalence.bounds.difference_network import difference_network
from ..errors import InputError, PolyfiberError, ShapeError, old_name
from ..network.model import ReLUNetwork
from ..network.names import local_path
from ..network.piecewise import PiecewiseLinearNetwork, function_chain, require_network
from ..network.readers import read_network
from ..plots.windows import Window, around, input_names, plane_window, two_axes, window_of
from ..verdict import Verdict
from . import facts, markup, pairs, shapes
from .facts import MOST_FACES, OPEN, Asked
from .sections import Section, count

SECONDS = 180.0
"""Time of a page, without a budget."""


@dataclass(frozen=True)
class Report:
    """A page that was written, and what it says.

    Attributes
    ----------
    path : Path
    title : str
    sections : tuple of Section
    n_regions : int
        Regions that the picture draws; 0 without a picture.
    size : int
        Bytes of the file.
    seconds : float

    Examples
    --------
    >>> import polyfiber as pf, tempfile
    >>> page = pf.report(pf.ReLUNetwork.random((2, 5, 1), rng=0), tempfile.mkdtemp() + "/page.html")
    >>> page.path.name, page.n_regions
    ('page.html', 15)
    """

    path: Path
    title: str
    sections: tuple[Section, ...] = field(repr=False)
    n_regions: int
    size: int
    seconds: float

    regions = old_name("n_regions")

    @property
    def sentence(self) -> str:
        """What was written, and whether all of it is settled."""
        n, open_ = len(self.sections), len(self.open)
        settled = f"{n - open_ or 'none'} of {n}" if open_ else f"all {n}"
        said = f"{self.path} answers {settled} questions about {self.title}, with the evidence"
        if self.refuted:
            return f"{said}; the certificate does NOT hold."
        if not open_:
            return f"{said}. Next: open it in a browser."
        more = f"{words.way('more --seconds', 'a larger budget=')}, or a smaller domain,"
        waiting = len(self.waiting)
        if waiting == open_:
            return f"{said}; {more} may settle {'the other' if open_ == 1 else 'the others'}."
        first = f" ({self.open[0]})" if open_ == 1 else ""
        some = f"{more} may settle {waiting} of them; " if waiting else ""
        return f"{said}; {count(open_, 'question')} stay{'s' if open_ == 1 else ''} open{first}: {some}no time settles what lies outside the theorems, and its section says what is known."

    @property
    def open(self) -> tuple[str, ...]:
        """Questions that stay open."""
        return tuple(s.title for s in self.sections if s.state is Verdict.UNDECIDED)

    @property
    def waiting(self) -> tuple[str, ...]:
        """Those of them that more time, or a smaller domain, may settle."""
        return tuple(s.title for s in self.sections if s.state is Verdict.UNDECIDED and s.waits)

    @property
    def refuted(self) -> bool:
        """Whether the certificate of the complex did not hold."""
        return any(s.name == "certificate" and s.state is Verdict.NO for s in self.sections)


@dataclass(frozen=True)
class Picture:
    """What the picture of a page shows.

    Parameters
    ----------
    axes : two of int
        The inputs that vary, of a network with three or more.
    origin : (n0,) array, optional
        Values of the other inputs; by default the middle of the box, or the median of the vertices.
    names : sequence of str, optional
        Of the inputs.
    points : (p, n0) array, optional
        Data to draw, projected along the inputs that do not vary.
    labels : (p,) array of int, optional
        Classes of the data.

    Examples
    --------
    >>> shown = Picture(axes=(0, 2), names=("a", "b", "c"))
    >>> shown.axes
    (0, 2)
    """

    axes: Sequence[int] = (0, 1)
    origin: Any = None
    names: Sequence[str] | None = None
    points: Any = None
    labels: Any = None


def report(
    net: Any,
    path: Any,
    *,
    other: Any = None,
    domain: Polyhedron | None = None,
    epsilon: float | None = None,
    picture: Picture | None = None,
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> Report:
    """Write one HTML page about a network, or about two: what they are, with the evidence, and a picture to move about
    in.

    The page needs no network and no other file.

    Parameters
    ----------
    net : ReLUNetwork, path, or list of matrices
        A network or its file; matrices W1, …, WL are the layers of a linear network.
    path : str or Path
        The page, ``.html``. What is there is replaced when the page is whole.
    other : ReLUNetwork or path, optional
        Compare with this one.
    domain : Box or Polyhedron, optional
        All of R^n by default; the picture is of a window then.
    epsilon : float, optional
        With ``other``: ask for ``|f - g| <= epsilon`` on the domain.
    picture : Picture, optional
        Which plane, names of inputs, data points.
    budget : Budget, optional
        180 seconds by default. What does not fit is said to be open.
    progress : None, bool or callable, optional

    Returns
    -------
    Report

    Raises
    ------
    InputError
        Not a network; a path that cannot be written to; a domain, plane or pair that does not fit.

    Notes
    -----
    The picture holds at most 200,000 regions, 20,000 data points and 9.5 MB of numbers; of more, the middle of the window.

    Examples
    --------
    >>> import polyfiber as pf, tempfile
    >>> page = pf.report(pf.ReLUNetwork.random((2, 5, 1), rng=0), tempfile.mkdtemp() + "/page.html")
    >>> page.n_regions, page.refuted
    (15, False)
    """
    started = time.perf_counter()
    target = _target(path)
    monitor = Monitor(Budget(seconds=SECONDS) if budget is None else budget, progress)
    if not (picture is None or isinstance(picture, Picture)):
        raise InputError(f"picture must be a Picture, found {shown(picture)}")
    picture = picture or Picture()
    if _is_layers(net):
        if other is not None or domain is not None or epsilon is not None:
            raise InputError(
                "layers of a linear network are reported alone; give networks to compare, or with a domain"
            )
        return _linear(net, target, monitor, started)
    a, name, file = _network(net, "the network")
    n0 = a.architecture[0]
    if domain is not None and not isinstance(domain, Polyhedron):
        raise InputError(f"domain is a Box or Polyhedron, found {type(domain).__name__}")
    if domain is not None and domain.dimension != n0:
        raise ShapeError(
            f"the domain has {words.count(domain.dimension, 'dimension')} and the network {words.count(n0, 'input')}"
        )
    if epsilon is not None and (other is None or domain is None):
        raise InputError("epsilon= asks how near two networks are on a domain; give other= and domain=")
    asked = Asked(a, name, file, domain, monitor, options=facts.options_of(domain))
    input_names(picture.names, n0)  # what does not fit costs no page its picture
    if n0 > 2:
        two_axes(picture.axes, n0)
    data = _data(picture, n0)
    b: Any = None
    columns = shapes.Columns()
    if other is None:
        title = name
        sections = facts.sections_of(asked, facts.FIRST)
        drawn, remark = _draw(asked, b, picture, data, columns)  # before the rest takes its time
        sections += facts.sections_of(asked, facts.REST)
    else:
        b, second, second_file = _network(other, "the other network")
        if second_file is not None:
            asked.seen["other"] = facts.quoted(second_file.name)
        facts.two_networks(a, b)
        title = f"{name} and {second}"
        drawn, remark = _draw(asked, b, picture, data, columns)
        sections = pairs.sections_of_pair(asked, b, epsilon, (name, second))
    if remark is not None:
        sections.append(remark)
    return _write(target, title, _subtitle(sections), sections, drawn, columns, started)


def _target(path: Any) -> Path:
    target = local_path(path, "a page")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"a page is written to a name that ends in .html, found {target.name!r}")
    if target.is_dir() or not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise InputError(
            f"cannot write the page {target}: no writable directory {target.parent}, or a directory of that name"
        )
    return target


def _is_layers(net: Any) -> bool:
    return isinstance(net, list | tuple) and len(net) > 0 and all(np.ndim(w) == 2 for w in net)


def _network(net: Any, what: str) -> tuple[Any, str, Path | None]:
    """A network, its name and its file."""
    if isinstance(net, str | os.PathLike):
        file = local_path(net, "a network")
        return require_network(read_network(file)), file.name, file
    if not isinstance(net, ReLUNetwork | PiecewiseLinearNetwork):
        raise InputError(
            f"{what} must be a ReLUNetwork, a PiecewiseLinearNetwork or a file, found {type(net).__name__}"
        )
    net = require_network(net)
    widths = "-".join(map(str, net.architecture))
    return net, str(net.source.get("file", f"network {widths}")), None


def _data(picture: Picture, n0: int) -> tuple[FloatArray, IntArray] | None:
    if picture.points is None:
        return None
    points = np.asarray(picture.points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != n0 or not np.isfinite(points).all():
        raise ShapeError(f"points have shape {points.shape}; expected (p, {n0}), finite")
    labels = np.zeros(len(points), dtype=np.int64) if picture.labels is None else np.asarray(picture.labels)
    if labels.shape != (len(points),) or (len(labels) and not (labels.min() >= 0 and labels.max() < 255)):
        raise ShapeError(
            f"labels have shape {labels.shape}; expected {words.count(len(points), 'class', 'classes')} from 0 to 254"
        )
    return points, labels.astype(np.int64)


def _draw(
    asked: Asked, other: Any, picture: Picture, data: Any, columns: shapes.Columns
) -> tuple[dict[str, Any] | None, Section | None]:
    """What the picture shows, or why there is none."""
    net, groups = asked.net, None
    if other is not None:
        a, b = function_chain(asked.net), function_chain(other)
        net = difference_network(a, b)
        groups = shapes.pair_groups(a, b, net)
    budget = asked.share(0.6)
    try:
        with Monitor(budget).watching():
            whole = _window(asked, net, other is None, picture, budget)
            window = _middle(whole, shapes.MOST_REGIONS, budget)
            classes = other is None and net.n_hidden > 0
            axes = list(picture.axes) if net.architecture[0] > 2 else list(range(net.architecture[0]))
            while True:
                near = None if data is None else _inside(data[0][:, axes], data[1], window)
                known = asked.boundary if asked.cx is not None and window.complex is asked.cx else None
                told = (
                    shapes.line(window, columns)
                    if net.architecture[0] == 1
                    else shapes.planar(window, columns, groups=groups, classes=classes, boundary=known, data=near)
                )
                size = len(columns.text())
                if size <= shapes.MOST_BYTES or window.complex.n_regions == 1:
                    break
                columns.clear()
                window = _middle(window, int(0.9 * shapes.MOST_BYTES / size * window.complex.n_regions), budget)
            if other is not None:
                told["caption"] = f"of the difference {told['caption']}".strip()
            if net.architecture[0] == 3 and classes:
                told["space"] = _surface(asked, columns, budget)
            return told, _part(window, whole)
    except OPEN as error:
        columns.clear()
        return None, Section("nothing", "Why is there no picture?", " ".join(str(error).split()), Verdict.UNDECIDED)
    except InputError as error:
        columns.clear()
        return None, Section("nothing", "Why is there no picture?", " ".join(str(error).split()))


def _window(asked: Asked, net: Any, alone: bool, picture: Picture, budget: Budget) -> Window:
    if alone and asked.cx is not None:
        return window_of(asked.cx, axes=picture.axes, origin=picture.origin, names=picture.names, budget=budget)
    if net.architecture[0] <= 2:
        if estimate_size(net, asked.domain)["faces"] > 4 * MOST_FACES:
            raise InputError("the complex is too large to be drawn whole; give a smaller box")
        return window_of(canonical_complex(net, asked.domain, budget=budget), names=picture.names, budget=budget)
    return plane_window(
        net, domain=asked.domain, axes=picture.axes, origin=picture.origin, names=picture.names, budget=budget
    )


def _middle(window: Window, most: int, budget: Budget) -> Window:
    """The middle of a window, with at most so many regions, or one."""
    while window.complex.n_regions > max(1, most):
        x = window.complex.vertices
        low, high = x.min(axis=0), x.max(axis=0)
        keep = 0.9 * (most / window.complex.n_regions) ** (1 / len(low))
        middle, half = (low + high) / 2, keep * (high - low) / 2
        smaller = canonical_complex(window.complex.network, Box(middle - half, middle + half), budget=budget)
        window = Window(smaller, window.labels, window.caption, window.origin, window.directions)
    return window


def _part(window: Window, whole: Window) -> Section | None:
    """What is said of a picture that holds the middle of the window alone."""
    if window.complex is whole.complex:
        return None
    lead = f"The middle of the window, {count(window.complex.n_regions, 'region')} of {whole.complex.n_regions:,}: "
    lead += f"a page holds {shapes.MOST_REGIONS:,} regions and {shapes.MOST_BYTES / 1e6:g} MB of numbers."
    return Section("part", "What does the picture show?", lead)


def _inside(points: FloatArray, labels: IntArray, window: Window) -> tuple[FloatArray, IntArray]:
    x = window.complex.vertices
    inside = ((points >= x.min(axis=0)) & (points <= x.max(axis=0))).all(axis=1)
    return points[inside], labels[inside]


def _surface(asked: Asked, columns: shapes.Columns, budget: Budget) -> dict[str, Any] | None:
    """The boundary in space, on the domain or around the vertices; None where it does not fit."""
    if asked.cx is None:
        return None
    try:
        found = asked.boundary
        if found is None or not found.is_compact:
            near = (
                asked.cx
                if asked.domain is not None
                else canonical_complex(asked.net, around(asked.cx.vertices), budget=budget)
            )
            found = near.decision_boundary(budget=budget)
        return shapes.space(found, columns)
    except PolyfiberError:
        return None


def _linear(layers: Sequence[Any], target: Path, monitor: Monitor, started: float) -> Report:
    widths = [int(np.shape(layers[0])[1]), *(int(np.shape(w)[0]) for w in layers)]
    name = f"linear network {'-'.join(map(str, widths))}"
    asked = Asked(ReLUNetwork([np.zeros((1, 1))], [np.zeros(1)]), name, None, None, monitor)
    sections = pairs.sections_of_layers(asked, layers)
    return _write(target, name, _subtitle(sections), sections, None, shapes.Columns(), started)


def _subtitle(sections: Sequence[Section]) -> str:
    told = [s for s in sections if s.state is not None]
    sure = sum(s.state is not Verdict.UNDECIDED for s in told)
    return f"{count(len(told), 'question')} with a verdict: {sure} decided, {len(told) - sure} open."


def _write(
    target: Path,
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    drawn: dict[str, Any] | None,
    columns: shapes.Columns,
    started: float,
) -> Report:
    made = f"Made by polyfiber {__version__} in {time.perf_counter() - started:.2g} s. This page holds all it shows and asks for nothing."
    text = markup.page(title, subtitle, sections, drawn, columns, made)
    data = text.encode("utf-8", "replace")
    try:
        with tempfile.NamedTemporaryFile("wb", dir=target.parent, suffix=".part", delete=False) as file:
            file.write(data)
        os.chmod(file.name, 0o644)
        os.replace(file.name, target)
    except OSError as error:
        raise InputError(f"cannot write the page {target}: {error}") from None
    return Report(
        target, title, tuple(sections), 0 if drawn is None else int(drawn["regions"]), len(data),
        time.perf_counter() - started,
    )  # fmt: skip
