"""`python -m harness` is `assay`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Before the current folder, where a user's own `conf` or `tasks.py` would hide Assay's
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from harness.cli.assay import main

    main()
