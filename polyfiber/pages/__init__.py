"""Pages: one network, or a pair, as one HTML file that needs nothing else.

`build` drives; `facts` asks the library and writes the answers down as `sections`; `shapes` puts what the picture draws
into columns; `markup` writes the page around them; `assets` holds its style and its program. `notebook` shows results
in notebooks, `watching` a network in training. `pairs` asks about two networks, and about the layers of a linear one.
"""

from __future__ import annotations

from .._lazy import resolver

_EXPORTS: dict[str, str] = {"Report": "build", "report": "build", "Watch": "watching", "watch": "watching"}

__all__ = list(_EXPORTS)

__getattr__, __dir__ = resolver(__name__, _EXPORTS)
