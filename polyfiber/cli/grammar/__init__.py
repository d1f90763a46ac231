"""What may be written on the command line: choices, and the texts of domains, points, widths and levels."""
