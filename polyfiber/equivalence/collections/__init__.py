"""Many networks at once.

`classes` sorts them into equivalent ones, pair by pair only where keys are close; `collection` keeps a growing set in
bounded memory; `parallel_map` hands the work to threads, an executor or Dask, and keeps order.
"""
