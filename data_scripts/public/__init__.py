"""One script a public data set: what its authors offer, and how it becomes the one format; and trained weights."""
