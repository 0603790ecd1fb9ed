"""The Python API, one file for each kind of thing: see docs/python.md. `harness` itself offers all of it."""
