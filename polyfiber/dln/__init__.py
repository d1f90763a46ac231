"""Geometry of the deep linear network: balanced manifold, metric, entropy, dynamics, geodesics.

After Menon, *The geometry of the deep linear network* (arXiv 2411.09004) and Chen, *Geodesics in the deep linear
network* (arXiv 2510.07324); where their formulas carry misprints the docstrings say so. Names resolve on first use.
"""

from __future__ import annotations

from .._lazy import resolver

_EXPORTS: dict[str, str] = {
    # spectral calculus
    "SingularFrame": "spectral",
    "singular_frame": "spectral",
    # metric
    "Metric": "metrics",
    "metric": "metrics",
    "apply_operator": "metrics",
    "bures_wasserstein_inner": "metrics",
    # balanced varieties
    "invariants": "balanced",
    "imbalance": "balanced",
    "SVDCoordinates": "balanced",
    "svd_coordinates": "balanced",
    "from_svd_coordinates": "balanced",
    "PolarCoordinates": "balanced",
    "polar_coordinates": "balanced",
    "from_polar_coordinates": "balanced",
    "polar_factor": "balanced",
    "leaf_dimension": "balanced",
    "random_balanced": "balanced",
    "BalancedProjection": "projection",
    "project_balanced": "projection",
    # upstairs: submersion and frame
    "product": "submersion",
    "lift": "submersion",
    "push": "submersion",
    "pull": "submersion",
    "horizontal_lift": "submersion",
    "horizontal_defect": "submersion",
    "project_normal": "submersion",
    "project_tangent": "submersion",
    "project_horizontal": "submersion",
    "project_vertical": "submersion",
    "second_fundamental_form": "submersion",
    "retract": "submersion",
    "verify_submersion": "submersion",
    "SubmersionReport": "submersion",
    "TangentFrame": "frames",
    "tangent_frame": "frames",
    "gauge_gram": "frames",
    "gauge_vectors": "frames",
    # entropy
    "entropy": "entropies",
    "entropy_gradient": "entropies",
    "free_energy": "entropies",
    "free_energy_gradient": "entropies",
    "log_orthogonal_volume": "entropies",
    "log_volume_in_singular_values": "entropies",
    # geodesics
    "BoundaryError": "hamilton",
    "hamiltonian": "hamilton",
    "exponential": "hamilton",
    "conserved": "hamilton",
    "ConservedQuantities": "hamilton",
    "squared_radius": "hamilton",
    "cone_law": "hamilton",
    "lift_path": "hamilton",
    "Chord": "straight",
    "shortest_chord": "straight",
    "chord_defects": "straight",
    "chord_is_balanced": "straight",
    "line_is_balanced": "straight",
    "ExplicitPath": "explicit",
    "explicit_path": "explicit",
    "Geodesic": "geodesics",
    "geodesic": "geodesics",
    "distance": "geodesics",
    "logarithm": "geodesics",
    "NetworkInterpolation": "geodesics",
    "interpolate_networks": "geodesics",
    "FrechetMean": "means",
    "frechet_mean": "means",
    # dynamics
    "GradientFlow": "flows",
    "RankEvent": "flows",
    "gradient_flow": "flows",
    "observable_flow": "flows",
    "MatrixCompletion": "completion",
    "diagonal_example": "completion",
    "zero_energy_matrix": "completion",
    "FreeEnergyMinimum": "completion",
    "free_energy_minima": "completion",
    "LangevinPaths": "langevin",
    "sample_langevin": "langevin",
    "sample_langevin_upstairs": "langevin",
    "brownian_motion": "langevin",
    "expected_squared_radius": "langevin",
    # pymanopt
    "observable_manifold": "manifolds",
    "balanced_manifold": "manifolds",
}

__all__ = list(_EXPORTS)

__getattr__, __dir__ = resolver(__name__, _EXPORTS)
