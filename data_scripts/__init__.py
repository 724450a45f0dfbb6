"""One script per data set: get it, verify it, arrange it in the one format."""

EMBEDDED = {  # drawn here in seconds, no download: name -> what it is
    "scenes": "2,000 drawn pictures (128 px) of 10 kinds of objects on varied backgrounds, with exact masks and boxes",
    "faces": "5,000 drawn portraits (128 px) of nobody real, with exact masks of CelebAMask's 19 regions and CelebA's "
    "attributes",
}
