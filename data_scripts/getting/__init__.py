"""Once for all scripts: files fetched, unpacked, verified, and put in place as a data set in the one format."""
