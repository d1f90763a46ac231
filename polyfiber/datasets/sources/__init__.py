"""Where the networks of a dataset come from: one kind of entry ``[[networks]]`` each.

`base` says what an entry is and gives each network its own seed. `random`, `graphs` and `trained` (on the trainer in
`training`) make networks; `derived` changes those of another entry; `files` reads the user's own, through `inputs`,
which looks nowhere but where the dataset may.
"""

from __future__ import annotations

from .base import Kind, Made, Source
from .derived import FIBER, PERTURBED
from .files import FILES
from .graphs import GRAPHS
from .random import LINEAR, RANDOM
from .trained import TRAINED

KINDS: dict[str, Kind] = {k.name: k for k in (RANDOM, GRAPHS, TRAINED, PERTURBED, FIBER, FILES, LINEAR)}

__all__ = ["KINDS", "Kind", "Made", "Source"]
