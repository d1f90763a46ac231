"""Networks to test with: random ones for hypothesis, a corpus of degenerate ones, hostile weights.

What is true of each network of the corpus is not written here: tests compare with an exact rational brute force
(``tests/oracles``, ``tests/golden/degenerate.json``). `corpus` and `hostile` weights stand
beside `strategies` for hypothesis, `graphs` small networks
of gates; `rewritings` write one function in other ways, `near_misses` change it by little; `identities` hold for all
networks.
"""

from __future__ import annotations

from .corpus import Case, degenerate_corpus
from .hostile import huge_ratio_network, integer_network, near_coincident_network, rescaled, subnormal_network
from .identities import box_inequalities, simple_arrangement_f_vector
from .strategies import generic_networks, integer_networks

__all__ = [
    "Case",
    "box_inequalities",
    "degenerate_corpus",
    "generic_networks",
    "huge_ratio_network",
    "integer_network",
    "integer_networks",
    "near_coincident_network",
    "rescaled",
    "simple_arrangement_f_vector",
    "subnormal_network",
]
