"""A run in an object store: the same few operations over any fsspec file system (s3://, gs://, …).

An object store has no rename. What stands in its place, and what is promised, is said at each operation.
"""
