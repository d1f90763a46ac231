"""What is asked of networks of gates instead of their fibers: findings about gates, Jacobians of affine pieces."""
