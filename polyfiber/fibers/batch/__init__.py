"""Fibers of many networks of one architecture at once.

`labels` says a few certain things of bottleneck networks at millions a second; `classify_many` says all that the
classifier of one network says, genericity included.
"""
