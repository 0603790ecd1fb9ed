"""`python -m harness` is `assay`."""

from harness.cli.assay import main

if __name__ == "__main__":
    main()
