"""Figures, drawn from a run's tables alone; one file for each."""
