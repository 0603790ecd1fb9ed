"""Explainers and references, one file each, and the exact flow solver."""
