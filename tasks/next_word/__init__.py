"""A text and two words that may come next, for causal language models."""
