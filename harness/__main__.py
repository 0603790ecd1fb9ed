"""`python -m harness` is `assay`."""

from harness.run import main

if __name__ == "__main__":
    main()
