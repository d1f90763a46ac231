"""What moves: gradient flow upstairs and downstairs, matrix completion, Langevin dynamics."""
