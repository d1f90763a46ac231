"""Whether a dataset is what it says: checksums, schema, rows derived again another way."""
