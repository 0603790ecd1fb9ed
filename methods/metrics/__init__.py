"""Metrics: a trace and an explainer's scores in, one number per example and layer out; no reference is needed."""
