"""Grids as text: for the terminal, as Markdown and as LaTeX."""
