"""Where tables lie: Arrow types, Parquet files, the directory of a dataset.

A batch of rows becomes Parquet in `arrow`, networks become rows in `networks`, JSON and TOML are read by
`documents`; `store` knows which files a dataset has, and `places` how a folder or a bucket is written to, whole and
without following links.
"""
