"""What is asked of the parameters of networks of gates: Jacobians of their affine pieces."""
