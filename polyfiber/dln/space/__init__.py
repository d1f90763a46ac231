"""The space: balanced networks over each matrix, the metric that this gives the matrices, volumes and entropy."""
