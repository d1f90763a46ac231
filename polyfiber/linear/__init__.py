"""Linear networks: the rank stratification of the fibers of matrix multiplication."""
