"""One script per data set: get it, verify it, arrange it in the one format."""
