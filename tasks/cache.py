"""Where trained models are kept between runs."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def folder(kind: str) -> Path:
    """The cache folder of the given name, under the environment variable ASSAY_CACHE or in the user's cache."""
    root = os.environ.get("ASSAY_CACHE")
    return (Path(root).expanduser() if root else user_cache_path("assay")) / kind
