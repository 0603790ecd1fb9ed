"""Explainers, references and metrics, one file each, and the exact flow solver."""
