"""One style for all pictures: grounds that dark lines stand out from, lines and classes that colour-blind readers can
tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._values.checked import shown
from ..errors import InputError, MissingDependencyError

WALLS = ("#000000", "#7a0019", "#00248f", "#00441b", "#4a1486", "#3f3f3f")
"""Walls of layers 1, 2, …: dark, at least 3:1 against every ground below."""

BOUNDARY = "#000000"
"""Where the class changes."""

LINES = ("#0064a6", "#a8480a", "#00704f", "#7b3294", "#000000", "#8c1d40", "#5f5f5f", "#6b5900")
"""Curves and frames on white paper, at least 4.5:1, told apart by colour-blind readers in this order."""

CLASSES = ("#9ecae1", "#fdd0a2", "#a1d99b", "#efb6d5", "#f7e08b", "#cbc9e2", "#b8e3e0", "#d9c7b0", "#fdbfb0", "#d9d9d9")
"""Light grounds of classes (after Okabe and Ito)."""

SEQUENTIAL = "cividis"
"""Its light part is the ground of regions coloured by a number."""


def require(value: Any, what: str, *names: str) -> None:
    """InputError unless a value has these attributes."""
    if isinstance(value, type) or not all(hasattr(value, name) for name in names):
        raise InputError(f"expected {what}, found {shown(value)}")


def axes(ax: Any, size: tuple[float, float] = (7.0, 6.0)) -> Any:
    """The given Axes, or new ones."""
    if ax is not None:
        require(ax, "Axes of matplotlib, or None", "add_collection", "figure")
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingDependencyError("matplotlib", extra="plot", purpose="drawing") from None
    return plt.subplots(figsize=size, layout="constrained")[1]


def ground(name: str | None = None) -> Any:
    """A colour map light enough for dark lines: by default the light part of ``cividis``."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    if name is not None:
        try:
            return matplotlib.colormaps[name]
        except (KeyError, TypeError, ValueError):
            raise InputError(f"cmap must be the name of a colour map of matplotlib, found {shown(name)}") from None
    return ListedColormap(matplotlib.colormaps[SEQUENTIAL](np.linspace(0.6, 1.0, 256)), name="light cividis")


def contrast(a: Any, b: Any) -> float:
    """Contrast of two colours, 1 to 21 (relative luminance as in WCAG 2)."""
    from matplotlib.colors import to_rgb

    light = []
    for colour in (a, b):
        channels = np.array(to_rgb(colour))
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(light) + 0.05) / (min(light) + 0.05)


_LIGHT = ("#948e77", "#a19975", "#aea371", "#bcae6c", "#c8b866", "#d6c35d", "#e5cf52", "#f3db42", "#fee838")
_DARK = ("#00224e", "#00295d", "#00306f", "#123570", "#243c6e", "#32436d", "#3c4a6c", "#46516c", "#4f576c")
WALLS_ON_DARK = ("#ffffff", "#ffd0d0", "#a8d8ff", "#b8f0b8", "#e6c8ff", "#e8e8e8")
CLASSES_ON_DARK = (
    "#1f4e6b", "#7a4416", "#2c5e2a", "#74345a", "#665a10", "#4a4478", "#1f5c57", "#5a4730", "#7a3a30", "#4a4a4a",
)  # fmt: skip


def light_ground() -> list[str]:
    """Nine colours from low to high on which dark lines stand out: the light part of ``cividis``, for pages.

    Examples
    --------
    >>> light_ground()[0]
    '#948e77'
    """
    return list(_LIGHT)


def dark_ground() -> list[str]:
    """The dark part of ``cividis``, for pages on which lines are light."""
    return list(_DARK)


def page_colours(*, dark: bool) -> dict[str, Any]:
    """Walls by layer, classes, boundary and frame of a page."""
    return {
        "walls": list(WALLS_ON_DARK if dark else WALLS),
        "classes": list(CLASSES_ON_DARK if dark else CLASSES),
        "boundary": "#ffffff" if dark else BOUNDARY,
        "paper": "#14171c" if dark else "#ffffff",
        "ink": "#f2f2f2" if dark else "#16181d",
        "tie": "#4a4a4a" if dark else "#d9d9d9",
    }
