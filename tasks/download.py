"""Files of published data, local or downloaded."""

from collections.abc import Sequence
from pathlib import Path

import aiohttp
import datasets

WEB = ("http://", "https://")


def local(path: str, files: Sequence[str]) -> list[Path]:
    """Local paths of the named files of a folder or URL; if only one is named, the path may be that file itself.

    On the web, a file that is not in the folder is looked for in the parent folder.

    Raises FileNotFoundError, with the names, where some are missing, ConnectionError where the web cannot be reached.
    """
    if path.startswith(WEB):
        return [_from_web(path.rstrip("/"), name) for name in files]
    place = Path(path).expanduser()
    if place.is_file() and len(files) == 1:
        return [place]
    found = [place / name for name in files]
    if missing := [file.name for file in found if not file.is_file()]:
        state = f"a folder without {', '.join(missing)}" if place.is_dir() else "no such folder"
        raise FileNotFoundError(
            f"{path}: expected a folder with {', '.join(files)}, found {state}; give task.path=<the folder they lie in>"
        )
    return found


def _from_web(prefix: str, name: str) -> Path:
    try:
        return downloaded(f"{prefix}/{name}", None)
    except ConnectionError as error:
        try:
            return downloaded(f"{prefix.rpartition('/')[0]}/{name}", None)
        except ConnectionError:
            raise error from None


def downloaded(url: str, cache_dir: str | None) -> Path:
    """The local copy of a URL, downloaded once: later runs need no network."""
    timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_connect=3, sock_read=10)
    options: dict = {protocol: {"client_kwargs": {"timeout": timeout}} for protocol in ("http", "https")}
    folder = Path(cache_dir).expanduser() / "downloads" if cache_dir else None
    # Without the ETag a copy in the cache is found with no network; the published files do not change.
    config = datasets.DownloadConfig(cache_dir=folder, use_etag=False, storage_options=options)
    try:
        return Path(str(datasets.DownloadManager(download_config=config).download(url)))
    except (OSError, aiohttp.ClientError) as error:
        cause = error.__cause__ or error  # fsspec raises FileNotFoundError for every host that it cannot reach
        reason = f"{type(cause).__name__}: {cause}".removesuffix(": ")
        raise ConnectionError(
            f"{url}: cannot be reached ({reason}); give task.path=<local copy>, or HF_DATASETS_CACHE=<a cache "
            "that holds it>, with which HF_DATASETS_OFFLINE=1 works too"
        ) from error
