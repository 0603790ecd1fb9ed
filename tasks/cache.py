"""Where trained models are kept between runs."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def folder(kind: str) -> Path:
    """The user's cache folder for one kind of thing, or that under the environment variable ASSAY_CACHE."""
    root = os.environ.get("ASSAY_CACHE")
    return (Path(root).expanduser() if root else user_cache_path("assay")) / kind
