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
    "PiecewiseLinearNetwork": "network.piecewise",
    "GateBlock": "network.piecewise",
    "AffineMap": "network.piecewise",
    "NetworkBatch": "network.model",
    "read_network": "network.readers",
    "from_torch": "network.readers",
    "from_sklearn": "network.readers",
    "write_network": "network.writers",
    # fibers
    "FiberReport": "fibers.classify",
    "classify_fiber": "fibers.classify",
    "FeatureRelations": "fibers.relations.features",
    "feature_relations": "fibers.relations.features",
    "functional_dimension": "fibers.dimension",
    "identifiable_share": "fibers.parameter_share",
    "local_fiber": "fibers.dimension",
    "minimize": "equivalence.minimize",
    "nonnegative_column_rank": "fibers.nonnegative_rank",
    # equivalence
    "CanonicalForm": "equivalence.forms.canonical",
    "Equivalence": "equivalence.answer",
    "align": "equivalence.align",
    "are_equivalent": "equivalence.decide",
    "canonical_form": "equivalence.forms.canonical",
    "difference": "equivalence.decide",
    "equivalence_classes": "equivalence.collections.classes",
    "group_networks": "equivalence.collections.classes",
    "top1_agreement": "equivalence.top1.decide",
    # topology
    "is_injective": "complexes.topology.images",
    # about this installation
    "show_versions": "versions",
    # answers and limits
    "Budget": "budget",
    "Verdict": "verdict",
    # complexes
    "BreakpointComplex": "complexes.breakpoints.simple",
    "breakpoint_complex": "complexes.breakpoints.simple",
    "Box": "domain",
    "Polyhedron": "domain",
    "PolyhedralComplex": "complexes.complex",
    "canonical_complex": "complexes.build",
    "estimate_size": "complexes.build",
    "face_counts": "complexes.build",
    # complexes by blocks
    "Block": "complexes.blocks.block",
    "count_blocks": "complexes.blocks.run",
    "iter_blocks": "complexes.blocks.run",
    "iter_cells": "complexes.blocks.run",
    "pilot_estimate": "complexes.blocks.estimate",
    "plan_blocks": "complexes.blocks.plan",
    "read_cells": "complexes.blocks.read",
    "run_block": "complexes.blocks.contents",
    "write_cells": "complexes.blocks.write",
    # networks too large to enumerate
    "ActivationBounds": "complexes.ranges.activation",
    "Exploration": "complexes.local.explore",
    "Region": "complexes.local.region",
    "activation_bounds": "complexes.ranges.activation",
    "explore": "complexes.local.explore",
    "feasibility": "complexes.feasibility",
    "genericity": "complexes.genericity",
    "path_regions": "complexes.local.segments",
    "region": "complexes.local.region",
    "segment_regions": "complexes.local.segments",
    "simplify_on": "complexes.ranges.simplify",
    "PlanarSlice": "complexes.planar.subdivision",
    "slice_complex": "complexes.local.slices",
    "slice_through": "complexes.planar.build",
    # pages
    "Picture": "pages.build",
    "Report": "pages.build",
    "report": "pages.build",
    "Watch": "pages.watching",
    "watch": "pages.watching",
}
_SUBPACKAGES = (
    "complexes",
    "datasets",
    "dln",
    "equivalence",
    "errors",
    "fibers",
    "invariants",
    "linear",
    "network",
    "pages",
    "plots",
)

__all__ = ["__version__", *_EXPORTS]

__getattr__, __dir__ = resolver(__name__, _EXPORTS, _SUBPACKAGES)
