"""One differentiable run of the model, and what is read from it."""
