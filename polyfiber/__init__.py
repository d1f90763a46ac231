"""polyfiber: polyhedral complexes and fibers of ReLU networks.

Names resolve on first use, so that ``import polyfiber`` stays fast.
"""

from __future__ import annotations

from ._lazy import resolver
from ._version import __version__

# public name -> module that defines it
_EXPORTS: dict[str, str] = {
    # networks
    "ReLUNetwork": "network.model",
    "NetworkBatch": "network.model",
    "read_network": "network.readers",
    "from_torch": "network.readers",
    "from_sklearn": "network.readers",
    "write_network": "network.writers",
    # fibers
    "FiberReport": "fibers.classify",
    "classify_fiber": "fibers.classify",
    "functional_dimension": "fibers.dimension",
    "identifiable_share": "fibers.volume",
    "local_fiber": "fibers.dimension",
    "minimize": "fibers.minimize",
    "nonnegative_column_rank": "fibers.nonnegative",
    # equivalence
    "CanonicalForm": "fibers.canonical",
    "Equivalence": "fibers.evidence",
    "are_equivalent": "fibers.equivalence",
    "canonical_form": "fibers.canonical",
    "difference": "fibers.equivalence",
    "equivalence_classes": "fibers.batches",
    "group_networks": "fibers.batches",
    "top1_agreement": "fibers.top1",
    # answers and limits
    "Budget": "budget",
    "Verdict": "verdict",
    # complexes
    "BreakpointComplex": "complexes.breakpoints",
    "breakpoint_complex": "complexes.breakpoints",
    "Box": "complexes.domain",
    "Polyhedron": "complexes.domain",
    "PolyhedralComplex": "complexes.complex",
    "canonical_complex": "complexes.complex",
    "estimate_size": "complexes.complex",
    "face_counts": "complexes.complex",
    # complexes by blocks
    "Block": "complexes.blocks",
    "count_blocks": "complexes.blockrun",
    "iter_blocks": "complexes.blockrun",
    "iter_cells": "complexes.blockrun",
    "pilot_estimate": "complexes.pilots",
    "plan_blocks": "complexes.plan",
    "read_cells": "complexes.cellstore",
    "run_block": "complexes.blockcells",
    "write_cells": "complexes.stream",
    # networks too large to enumerate
    "ActivationBounds": "complexes.bounds",
    "Exploration": "complexes.explore",
    "Region": "complexes.regions",
    "activation_bounds": "complexes.bounds",
    "explore": "complexes.explore",
    "feasibility": "complexes.feasibility",
    "genericity": "complexes.genericity",
    "path_regions": "complexes.segments",
    "region": "complexes.regions",
    "segment_regions": "complexes.segments",
    "simplify_on": "complexes.simplify",
    "slice_complex": "complexes.slices",
}
_SUBPACKAGES = ("complexes", "datasets", "errors", "fibers", "linear", "dln", "network", "plots")

__all__ = ["__version__", *_EXPORTS]

__getattr__, __dir__ = resolver(__name__, _EXPORTS, _SUBPACKAGES)
