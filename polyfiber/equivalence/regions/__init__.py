"""Two networks compared piece by piece, on regions where both are affine."""
