"""Tables of results as grids, one file for each kind of table."""
