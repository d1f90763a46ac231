"""Where the networks of a dataset come from: one kind of entry ``[[networks]]`` each."""

from __future__ import annotations

from .base import Kind, Made, Source
from .derived import FIBER, PERTURBED
from .files import FILES
from .graphs import GRAPHS
from .random import LINEAR, RANDOM
from .trained import TRAINED

KINDS: dict[str, Kind] = {k.name: k for k in (RANDOM, GRAPHS, TRAINED, PERTURBED, FIBER, FILES, LINEAR)}

__all__ = ["KINDS", "Kind", "Made", "Source"]
