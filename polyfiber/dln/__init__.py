"""Geometry of the deep linear network: balanced manifold, metric, entropy, dynamics, geodesics.

After Menon, *The geometry of the deep linear network* (arXiv 2411.09004) and Chen, *Geodesics in the deep linear
network* (arXiv 2510.07324); where their formulas carry misprints the docstrings say so. Names resolve on first use.

Rooms: ``space`` (balanced networks, submersion, metric, entropy), ``geodesics`` (on it), ``dynamics`` (flows on it);
``manifolds`` hands both to pymanopt. ``_inputs`` says what every function asks of its arguments, ``spectral`` holds the
divided differences that all of them are made of.
"""

from __future__ import annotations

from .._lazy import resolver

_EXPORTS: dict[str, str] = {
    # spectral calculus
    "SingularFrame": "spectral",
    "singular_frame": "spectral",
    # metric
    "Metric": "space.metrics",
    "metric": "space.metrics",
    "apply_operator": "space.metrics",
    "bures_wasserstein_inner": "space.metrics",
    # balanced varieties
    "invariants": "space.balanced",
    "imbalance": "space.balanced",
    "SVDCoordinates": "space.balanced",
    "svd_coordinates": "space.balanced",
    "from_svd_coordinates": "space.balanced",
    "PolarCoordinates": "space.balanced",
    "polar_coordinates": "space.balanced",
    "from_polar_coordinates": "space.balanced",
    "polar_factor": "space.balanced",
    "leaf_dimension": "space.balanced",
    "random_balanced": "space.balanced",
    "BalancedProjection": "space.projection",
    "project_balanced": "space.projection",
    # upstairs: submersion and frame
    "product": "space.submersion",
    "lift": "space.submersion",
    "push": "space.submersion",
    "pull": "space.submersion",
    "horizontal_lift": "space.submersion",
    "horizontal_defect": "space.submersion",
    "project_normal": "space.submersion",
    "project_tangent": "space.submersion",
    "project_horizontal": "space.submersion",
    "project_vertical": "space.submersion",
    "second_fundamental_form": "space.submersion",
    "retract": "space.submersion",
    "verify_submersion": "space.submersion",
    "SubmersionReport": "space.submersion",
    "TangentFrame": "space.frames",
    "tangent_frame": "space.frames",
    "gauge_gram": "space.frames",
    "gauge_vectors": "space.frames",
    # entropy
    "entropy": "space.entropies",
    "entropy_gradient": "space.entropies",
    "free_energy": "space.entropies",
    "free_energy_gradient": "space.entropies",
    "log_orthogonal_volume": "space.entropies",
    "log_volume_in_singular_values": "space.entropies",
    # geodesics
    "BoundaryError": "geodesics.hamilton",
    "hamiltonian": "geodesics.hamilton",
    "exponential": "geodesics.hamilton",
    "conserved": "geodesics.hamilton",
    "ConservedQuantities": "geodesics.hamilton",
    "squared_radius": "geodesics.hamilton",
    "cone_law": "geodesics.hamilton",
    "lift_path": "geodesics.hamilton",
    "Chord": "geodesics.straight",
    "shortest_chord": "geodesics.straight",
    "chord_defects": "geodesics.straight",
    "chord_is_balanced": "geodesics.straight",
    "line_is_balanced": "geodesics.straight",
    "ExplicitPath": "geodesics.explicit",
    "explicit_path": "geodesics.explicit",
    "Geodesic": "geodesics.result",
    "geodesic": "geodesics.boundary",
    "distance": "geodesics.distances",
    "distance_gradient": "geodesics.distances",
    "ConjugateTest": "geodesics.conjugate",
    "logarithm": "geodesics.distances",
    "NetworkInterpolation": "geodesics.distances",
    "interpolate_networks": "geodesics.distances",
    "FrechetMean": "geodesics.means",
    "frechet_mean": "geodesics.means",
    # dynamics
    "GradientFlow": "dynamics.flows",
    "RankEvent": "dynamics.flows",
    "gradient_flow": "dynamics.flows",
    "observable_flow": "dynamics.flows",
    "TrainingPath": "dynamics.training",
    "read_checkpoints": "dynamics.checkpoints",
    "read_weights": "dynamics.checkpoints",
    "training_path": "dynamics.training",
    "MatrixCompletion": "dynamics.completion",
    "diagonal_example": "dynamics.completion",
    "zero_energy_matrix": "dynamics.completion",
    "FreeEnergyMinimum": "dynamics.completion",
    "free_energy_minima": "dynamics.completion",
    "LangevinPaths": "dynamics.langevin",
    "sample_langevin": "dynamics.langevin",
    "sample_langevin_upstairs": "dynamics.langevin",
    "brownian_motion": "dynamics.langevin",
    "expected_squared_radius": "dynamics.langevin",
    # pymanopt
    "observable_manifold": "manifolds",
    "balanced_manifold": "manifolds",
}

__all__ = list(_EXPORTS)

__getattr__, __dir__ = resolver(__name__, _EXPORTS)
