"""Rows to means, intervals, tests and rankings; neither torch nor files."""
