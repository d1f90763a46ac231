"""Watch a network while it is trained: counts at each look, pictures, a film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from .. import words
from .._values.checked import shown
from ..budget import Budget
from ..complexes.build import canonical_complex
from ..domain import Polyhedron
from ..errors import IncompleteError, InputError, MissingDependencyError, PolyfiberError, UnsupportedLayerError
from ..network.model import ReLUNetwork
from ..network.names import local_path
from ..network.piecewise import PiecewiseLinearNetwork
from ..network.readers import from_sklearn, from_torch
from ..plots.windows import around
from ..words import short

MOST_LOOKS = 10_000
"""Looks that one watch keeps."""

MOST_FRAMES = 300
"""Pictures of a film; of more looks, evenly chosen ones."""


@dataclass(frozen=True)
class Look:
    """What one look saw.

    Attributes
    ----------
    step : object
        As it was given, or the number of the look.
    network : ReLUNetwork or PiecewiseLinearNetwork or None
        The weights at that moment; None where they could not be read.
    regions : int or None
        None where they were not counted.
    reason : str
        Why not; empty where they were.
    """

    step: Any
    network: Any = field(repr=False)
    regions: int | None
    reason: str = ""


class Watch:
    """Looks at a model in training; made by `watch`.

    Call it where the loop logs: it reads the weights as they are, counts, and keeps the weights. The model, its mode,
    its gradients and the state of random numbers stay as they are. What goes wrong in the first look is raised; in a
    later one (weights that are no numbers, time that is up) it is kept as the reason why nothing was counted, and
    training goes on.

    Attributes
    ----------
    looks : list of Look

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
        self.looks: list[Look] = []

    def __call__(self, step: Any = None) -> int | None:
        """Look now; the number of regions, or None where they were not counted."""
        if len(self.looks) >= MOST_LOOKS:
            raise InputError(f"a watch keeps at most {MOST_LOOKS} looks; look less often or start another")
        if self._model is None:
            raise InputError(
                "a copy of a watch keeps its looks and no longer sees the model; make another with pf.watch"
            )
        net, regions, reason = None, None, ""
        try:
            net = network_of(self._model, self.domain)
            regions = canonical_complex(net, self.domain, budget=self._budget).n_regions
        except PolyfiberError as error:
            if not self.looks and not isinstance(error, IncompleteError):
                raise
            reason = " ".join(str(error).split())
        self.looks.append(Look(len(self.looks) if step is None else step, net, regions, reason))
        return regions

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}  # a model may be a function or bound to a device

    def __len__(self) -> int:
        return len(self.looks)

    @property
    def steps(self) -> list[Any]:
        """What was given as the step of each look."""
        return [look.step for look in self.looks]

    @property
    def counts(self) -> list[int | None]:
        """Regions at each look; None where they were not counted."""
        return [look.regions for look in self.looks]

    def __repr__(self) -> str:
        return f"Watch({words.count(len(self), 'look')}, regions {self.counts[:1]} … {self.counts[-1:]})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(short(str(k.step)))}</td>"
            f"<td>{escape(short(f'not counted: {k.reason}')) if k.regions is None else f'{k.regions:,}'}</td></tr>"
            for k in self.looks[-12:]
        )
        head = "<thead><tr><th>step</th><th>regions</th></tr></thead>"
        return f"<table><caption>{words.count(len(self), 'look')}, the last twelve</caption>{head}<tbody>{rows}</tbody></table>"

    def plot(self, ax: Any = None) -> Any:
        """Draw the counts over the looks; what was not counted is a gap."""
        from ..plots.style import WALLS, axes

        ax = axes(ax, (7.0, 4.0))
        values = [float("nan") if c is None else c for c in self.counts]
        ax.plot(range(len(values)), values, ".-", color=WALLS[2], gid="regions")
        ax.set_xlabel("look")
        ax.set_ylabel("regions")
        ax.set_title(f"{words.count(len(values), 'look')}, {sum(c is not None for c in self.counts)} counted")
        return ax

    def frames(self, **options: Any) -> Iterator[Any]:
        """A matplotlib figure of each complex, in one size; options as of `PolyhedralComplex.plot`.

        On the domain; without one, of at most two inputs, in a window around the vertices of the last complex, so that
        pictures can be compared. Of more than 300 looks, evenly chosen ones.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingDependencyError("matplotlib", extra="plot", purpose="drawing") from None
        counted = [look for look in self.looks if look.regions is not None]
        window = self.domain
        if counted and window is None and counted[-1].network.architecture[0] <= 2:
            try:
                window = around(canonical_complex(counted[-1].network, budget=self._budget).vertices)
            except IncompleteError:
                return
        chosen = np.linspace(0, len(counted) - 1, min(len(counted), MOST_FRAMES)).round().astype(int).tolist()
        for look in (counted[k] for k in chosen):
            try:
                cx = canonical_complex(look.network, window, budget=self._budget)
            except IncompleteError:
                continue
            figure = Figure(figsize=(6.4, 4.8), layout="constrained")
            ax = cx.plot(figure.add_subplot(), **options)
            ax.set_title(f"step {short(str(look.step), 30)}: {ax.get_title()}", wrap=True)
            yield figure

    def film(self, path: Any, *, frames_per_second: float = 4.0, **options: Any) -> Path:
        """Write an animated ``.gif`` of `frames`; what is there is replaced when the film is whole."""
        target = local_path(path, "a film")
        if target.suffix.lower() != ".gif":
            raise InputError(f"a film is written as .gif, found {target.name!r}")
        if not target.parent.is_dir():
            raise InputError(f"cannot write the film {target}: there is no directory {target.parent}")
        if not isinstance(frames_per_second, Real) or not 0.01 <= frames_per_second <= 50:
            raise InputError(f"frames_per_second is a number from 0.01 to 50, found {frames_per_second!r}")
        pictures = [_picture(figure) for figure in self.frames(**options)]
        if not pictures:
            raise InputError("nothing to show: call the watch in the loop first")
        first, *rest = pictures
        part = target.with_name(target.name + ".part")
        first.save(part, "GIF", save_all=True, append_images=rest, duration=1000 / frames_per_second, loop=0)
        part.replace(target)
        return target


def _picture(figure: Any) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # comes with matplotlib

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.frombytes("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())).convert("RGB").quantize(256)


def network_of(model: Any, domain: Polyhedron | None = None) -> ReLUNetwork | PiecewiseLinearNetwork:
    """The network of a torch module, a scikit-learn estimator, a function that gives one of these, or a network.

    Modules with LeakyReLU, skips and the like need the domain, which tells their number of inputs.
    """
    networks = ReLUNetwork | PiecewiseLinearNetwork
    if callable(model) and not (hasattr(model, "state_dict") or isinstance(model, networks | type)):
        model = model()
    model = getattr(model, "_orig_mod", model)  # torch.compile
    if type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
        model = model.module
    if isinstance(model, networks):
        return model
    if isinstance(model, type) or not (hasattr(model, "state_dict") or hasattr(model, "get_params")):
        raise InputError(
            f"a torch module, scikit-learn estimator, network or function is watched, found {shown(model)}"
        )
    if not hasattr(model, "state_dict"):
        return from_sklearn(model)
    try:
        return from_torch(model)
    except UnsupportedLayerError:
        if domain is None:
            raise
        return from_torch(model, input_shape=(domain.dimension,))


def watch(model: Any, domain: Polyhedron | None = None, *, seconds: float | None = 10.0) -> Watch:
    """Watch a model while it is trained: call the watch in the loop.

    Parameters
    ----------
    model : torch module, scikit-learn estimator, or function that gives one or a network
        Read anew at each look, in evaluation mode (without dropout, with running statistics), whatever mode it is in.
    domain : Box or Polyhedron, optional
        All of R^n by default. Modules with LeakyReLU, skips and the like are read where it is given.
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
    if isinstance(model, type) or not (hasattr(model, "get_params") or callable(model)):
        network_of(model, domain)  # a module is callable
    if domain is not None and not isinstance(domain, Polyhedron):
        raise InputError(f"domain is a Box or Polyhedron, found {type(domain).__name__}")
    return Watch(model, domain, seconds)
