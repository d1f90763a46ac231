"""One style for all pictures: grounds that dark lines stand out from, lines and classes that colour-blind readers can tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import MissingDependencyError

WALLS = ("#000000", "#7a0019", "#00248f", "#00441b", "#4a1486", "#3f3f3f")
"""Walls of layers 1, 2, …: dark, at least 3:1 against every ground below."""

BOUNDARY = "#000000"
"""Where the class changes."""

CLASSES = ("#9ecae1", "#fdd0a2", "#a1d99b", "#efb6d5", "#f7e08b", "#cbc9e2", "#b8e3e0", "#d9c7b0", "#fdbfb0", "#d9d9d9")
"""Light grounds of classes (after Okabe and Ito)."""

SEQUENTIAL = "cividis"
"""Its light part is the ground of regions coloured by a number."""


def axes(ax: Any, size: tuple[float, float] = (7.0, 6.0)) -> Any:
    """The given Axes, or new ones."""
    if ax is not None:
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
        return matplotlib.colormaps[name]
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
