"""Pictures: functions take an Axes and return it; `style` holds the colours.

`planar` draws complexes and sets of the plane, `complexes` those of any number of inputs through `windows`, `slices`
those of large networks, `solid` surfaces in space, `strata` posets and flow diagrams, `fibers` moves and geodesics.
"""

from __future__ import annotations

from .._lazy import resolver

_EXPORTS: dict[str, str] = {
    "plot_complex": "complexes",
    "plot_dual_graph": "complexes",
    "plot_breakpoints": "planar",
    "plot_regions": "planar",
    "plot_set": "planar",
    "plot_dag": "strata",
    "plot_flow": "strata",
    "plot_table": "strata",
    "plot_effective_ranks": "strata",
    "plot_geodesic": "fibers",
    "plot_translation": "fibers",
    "plot_solid": "solid",
    "Window": "windows",
    "window_of": "windows",
}

__all__ = list(_EXPORTS)

__getattr__, __dir__ = resolver(__name__, _EXPORTS)
