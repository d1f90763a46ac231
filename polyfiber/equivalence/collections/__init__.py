"""Many networks: `classes` sorts them into equivalent ones, `collection` keeps a growing set, `parallel_map` hands out the work."""
