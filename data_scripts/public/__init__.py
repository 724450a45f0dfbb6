"""One script a public data set: what its authors offer, and how it becomes the one format; and trained weights.

A new one also needs its line under `course.datasets` in pyproject.toml, by which helpers find it.
"""
