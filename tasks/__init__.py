"""Tasks: sentences, the model that solves them, and which output is explained."""
