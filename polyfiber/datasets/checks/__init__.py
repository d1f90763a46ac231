"""Whether a dataset is what it says: `validation` compares checksums and schema, then derives rows again another way.

What the checks of tables compare with is made from the weights alone: `cell_geometry` (one cell), `faces` (all of a
small complex), `topology` (level sets, boundaries), `strata` (rank strata, from multiplicities of bars), `whole`
(whether a row is missing), `draws` (the networks themselves, from the documented rule). `documents` makes manifest,
card and croissant again. `structure` holds the files against the plan.
"""
