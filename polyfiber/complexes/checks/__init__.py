"""Checks of a complex by other code than made it: numpy where kernels built, rationals where numpy cannot tell."""
