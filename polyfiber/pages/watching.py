"""Watch a network while it is trained: counts at each look, pictures, a film."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from ..budget import Budget
from ..complexes.build import canonical_complex
from ..complexes.complex import PolyhedralComplex
from ..domain import Polyhedron
from ..errors import IncompleteError, InputError, MissingDependencyError
from ..network.model import ReLUNetwork
from ..network.names import local_path
from ..network.piecewise import PiecewiseLinearNetwork, require_chain
from ..network.readers import from_sklearn, from_torch

MOST_LOOKS = 10_000
"""Complexes that one watch keeps."""


class Watch:
    """Looks at a model in training; made by `watch`.

    Call it where the loop logs: it reads the weights as they are, counts, and keeps the complex.

    Attributes
    ----------
    steps : list
        What was given as the step of each look.
    complexes : list of PolyhedralComplex or None
        None where the budget of the look ended: the count of that look is not known.

    Examples
    --------
    >>> import polyfiber as pf
    >>> look = pf.watch(lambda: pf.ReLUNetwork.random((2, 2, 1), rng=0))
    >>> look("start"), look.steps, look.counts
    (4, ['start'], [4])
    """

    def __init__(self, model: Any, domain: Polyhedron | None, seconds: float | None) -> None:
        self._model = model
        self.domain = domain
        self._budget = Budget(seconds=seconds)
        self.steps: list[Any] = []
        self.complexes: list[PolyhedralComplex | None] = []

    def __call__(self, step: Any = None) -> int | None:
        """Look now; the number of regions, or None where the budget ended first."""
        if len(self.steps) >= MOST_LOOKS:
            raise InputError(f"a watch keeps at most {MOST_LOOKS} looks; look less often or start another")
        if self._model is None:
            raise InputError(
                "a copy of a watch keeps its looks and no longer sees the model; make another with pf.watch"
            )
        net = network_of(self._model)
        try:
            cx = canonical_complex(net, self.domain, budget=self._budget)
        except IncompleteError:
            cx = None
        self.steps.append(len(self.steps) if step is None else step)
        self.complexes.append(cx)
        return None if cx is None else cx.n_regions

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}  # a model may be a function or bound to a device

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def counts(self) -> list[int | None]:
        """Regions at each look; None where they were not counted."""
        return [None if cx is None else cx.n_regions for cx in self.complexes]

    def __repr__(self) -> str:
        return f"Watch({len(self)} looks, regions {self.counts[:1]} … {self.counts[-1:]})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(str(s))}</td><td>{'not counted' if c is None else f'{c:,}'}</td></tr>"
            for s, c in [*zip(self.steps, self.counts)][-12:]
        )
        head = "<thead><tr><th>step</th><th>regions</th></tr></thead>"
        return f"<table><caption>{len(self)} looks, the last twelve</caption>{head}<tbody>{rows}</tbody></table>"

    def plot(self, ax: Any = None) -> Any:
        """Draw the counts over the looks; what was not counted is a gap."""
        from ..plots.style import WALLS, axes

        ax = axes(ax, (7.0, 4.0))
        values = [float("nan") if c is None else c for c in self.counts]
        ax.plot(range(len(values)), values, ".-", color=WALLS[2])
        ax.set_xlabel("look")
        ax.set_ylabel("regions")
        ax.set_title(f"{len(values)} looks, {sum(c is not None for c in self.counts)} counted")
        return ax

    def frames(self, **options: Any) -> Iterator[Any]:
        """A matplotlib figure of each complex, in one size; options as of `PolyhedralComplex.plot`."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingDependencyError("matplotlib", extra="plot", purpose="drawing") from None
        for step, cx in zip(self.steps, self.complexes):
            if cx is not None:
                figure = Figure(figsize=(6.4, 4.8), layout="constrained")
                ax = cx.plot(figure.add_subplot(), **options)
                ax.set_title(f"step {step}: {ax.get_title()}")
                yield figure

    def film(self, path: Any, *, frames_per_second: float = 4.0, **options: Any) -> Path:
        """Write an animated ``.gif`` of the complexes; options as of `PolyhedralComplex.plot`."""
        target = local_path(path, "a film")
        if target.suffix.lower() != ".gif":
            raise InputError(f"a film is written as .gif, found {target.name!r}")
        if not frames_per_second > 0:
            raise InputError(f"frames_per_second must be positive, found {frames_per_second!r}")
        pictures = [_picture(figure) for figure in self.frames(**options)]
        if not pictures:
            raise InputError("nothing to show: call the watch in the loop first")
        first, *rest = pictures
        first.save(target, save_all=True, append_images=rest, duration=1000 / frames_per_second, loop=0)
        return target


def _picture(figure: Any) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # comes with matplotlib

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.frombytes("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())).convert("RGB")


def network_of(model: Any) -> ReLUNetwork:
    """The network of a torch module, a scikit-learn estimator, a function that gives one, or a network."""
    if isinstance(model, ReLUNetwork | PiecewiseLinearNetwork):
        return require_chain(model, "a watch")
    if hasattr(model, "state_dict"):
        return require_chain(from_torch(model), "a watch")
    if hasattr(model, "get_params"):
        return from_sklearn(model)
    if callable(model):
        return network_of(model())
    raise InputError(
        f"a torch module, scikit-learn estimator, network or function is watched, found {type(model).__name__}"
    )


def watch(model: Any, domain: Polyhedron | None = None, *, seconds: float | None = 10.0) -> Watch:
    """Watch a model while it is trained: call the watch in the loop.

    Parameters
    ----------
    model : torch module, scikit-learn estimator, or function that gives a network
        Read anew at each look.
    domain : Box or Polyhedron, optional
        All of R^n by default.
    seconds : float or None
        Of each look; one that does not end in time is kept as not counted.

    Returns
    -------
    Watch

    Examples
    --------
    >>> import polyfiber as pf
    >>> look = pf.watch(pf.ReLUNetwork.random((2, 3, 1), rng=0))
    >>> look(), look(), look.counts
    (7, 7, [7, 7])
    """
    if not (hasattr(model, "state_dict") or hasattr(model, "get_params") or callable(model)):
        network_of(model)
    if domain is not None and not isinstance(domain, Polyhedron):
        raise InputError(f"domain is a Box or Polyhedron, found {type(domain).__name__}")
    return Watch(model, domain, seconds)
