"""Fibers of many networks of one architecture at once: `labels` says a few certain things, `classify_many` all it can."""
