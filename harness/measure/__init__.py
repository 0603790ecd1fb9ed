"""Traces to scores to rows: the evaluation loop."""
