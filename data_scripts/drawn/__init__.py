"""The embedded data sets, drawn here in seconds to minutes without any download, and the drawn face as a chart."""
