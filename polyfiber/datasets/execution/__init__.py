"""Who does the partitions of a plan, and how.

`schedule` hands partitions to this process, to others, or to a Dask cluster; each runs `work`, which makes the tables
of one partition with the same bytes wherever it runs. `splitting` spreads one complex that no worker could hold: blocks
at planning, rows at work, sums at the end.
"""
