"""A run, or a sweep, as one HTML file to explore: no server, no network."""

PAGE = "report.html"  # the name of its file
