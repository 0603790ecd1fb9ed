"""Warnings of Assay's own: they are printed, and stored with a run."""


class RoundingNoise(UserWarning):
    """Scores that are zero in exact arithmetic."""


class Notice(UserWarning):
    """Something about the model or a method that a reader of the numbers must know."""


class Inexact(UserWarning):
    """Scores that are further from their definition than a reader would expect."""
