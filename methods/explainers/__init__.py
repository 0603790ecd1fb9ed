"""Explainers: a trace in, token scores per layer out."""
