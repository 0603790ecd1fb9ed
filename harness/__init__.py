"""The command line and the evaluation: everything that is neither a task nor a method."""
