"""Where tables lie: Arrow types, Parquet files, the directory of a dataset."""
