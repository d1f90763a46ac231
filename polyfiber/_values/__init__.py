"""Arguments that are looked at, and arrays that are given out."""
