"""A run, or a sweep, as one HTML file to explore: no server, no network."""
