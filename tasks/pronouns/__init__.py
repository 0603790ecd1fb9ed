"""Readers of sentences with a masked pronoun."""
