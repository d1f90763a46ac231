"""What a finished dataset says about itself.

`manifest` closes it: names what is missing, or writes the manifest with checksums; `card` says in Markdown what is in
it and how it was made; `croissant` says the same for catalogues and loaders. All three are functions of plan, records
and tables, and are made again when a dataset is validated.
"""
