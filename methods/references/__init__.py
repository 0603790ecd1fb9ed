"""References: a trace in, out the token scores that explainers are compared with."""
