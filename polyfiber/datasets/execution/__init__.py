"""Who does the partitions of a plan, and how: one partition, blocks of a huge complex, processes and clusters."""
