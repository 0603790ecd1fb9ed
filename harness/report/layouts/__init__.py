"""Tables laid out as grids, one file for each kind of table."""
