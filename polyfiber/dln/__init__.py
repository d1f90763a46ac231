"""The Riemannian geometry of the deep linear network."""
