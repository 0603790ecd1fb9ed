"""Assay's configuration: Hydra groups that mirror the code."""
