"""Geodesics: Hamilton's equations, closed forms, chords, the boundary value problem, means."""
