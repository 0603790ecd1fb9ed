"""References: a trace in, the token scores that explainers are held against out."""
