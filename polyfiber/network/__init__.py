"""Networks as values: parameters, evaluation, files, moves."""
