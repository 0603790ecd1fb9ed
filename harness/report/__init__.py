"""A finished run as tables, figures and notes."""
