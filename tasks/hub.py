"""Models and data from the Hugging Face hub: the cache first, then one quick check whether the hub can be reached."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
from datasets import config as datasets_config
from datasets.exceptions import DatasetsError
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

PATIENCE = 5.0  # seconds for the hub's first answer; the libraries' own retries take half a minute
NEEDED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.spm"]
WEIGHTS = "*.safetensors"
OFFLINE = (
    "the Hugging Face hub cannot be reached and {what} is not in its cache: give a local copy with {setting}=<{copy}>, "
    "or run once with network access to fill the cache ({cache}; HF_HOME moves it), or set HF_HUB_OFFLINE=1 and "
    "HF_HOME to a filled cache"
)


def model_folder(name: str, revision: str | None) -> Path:
    """The folder of a model's files, from the cache or downloaded; safetensors weights only.

    Raises:
        OSError: the hub cannot be reached, and the cache does not hold it.
        ValueError: there is no such model, or it has no safetensors weights.
    """
    what = f"model {name}{f' at {revision}' if revision else ''}"
    options: dict[str, Any] = {"revision": revision, "allow_patterns": NEEDED, "ignore_patterns": ["*/*"]}
    try:
        folder = Path(huggingface_hub.snapshot_download(name, local_files_only=True, **options))
        if any(folder.glob(WEIGHTS)) and (folder / "config.json").is_file():
            return folder
    except LocalEntryNotFoundError:
        pass
    except HFValidationError as error:
        raise ValueError(f"{name!r} is no model's name ({error}): expected owner/name, or give model.path") from error
    with _answered(what, "model.path", "folder", "model"):
        info = HfApi().model_info(name, revision=revision, timeout=PATIENCE)
        files = [file.rfilename for file in info.siblings or []]
        if not any(re.fullmatch(r"[^/]*\.safetensors", file) for file in files):
            raise ValueError(
                f"{what} has no safetensors weights, and weights of another form can run code: take another revision "
                "(model.revision=...), or convert it and give model.path=<folder>"
            )
        return Path(huggingface_hub.snapshot_download(name, **options))


def data(name: str, subset: str | None, split: str, revision: str | None) -> datasets.Dataset:
    """A split of a data set, downloaded or from the cache; errors as `model_folder`."""
    what = f"data set {name}{f' ({subset})' if subset else ''}"
    try:
        with _answered(what, "task.path", "file or folder", "data set"):
            HfApi().dataset_info(name, revision=revision, timeout=PATIENCE)
            return _loaded(name, subset, split, revision)
    except OSError as unreachable:
        with _offline():
            try:
                return _loaded(name, subset, split, revision)
            except (OSError, ValueError, DatasetsError):
                raise unreachable from None


def _loaded(name: str, subset: str | None, split: str, revision: str | None) -> datasets.Dataset:
    loaded = datasets.load_dataset(name, subset, split=split, revision=revision)
    assert isinstance(loaded, datasets.Dataset)
    return loaded


@contextmanager
def _offline() -> Iterator[None]:
    """Make the data library look in its cache right away, without asking the hub."""
    before = datasets_config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    datasets_config.HF_HUB_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets_config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE = before


@contextmanager
def _answered(what: str, setting: str, copy: str, kind: str) -> Iterator[None]:
    """Explain in one sentence why the hub returned nothing; each of its versions raises other connection errors."""
    remedy = f"or give a local copy with {setting}=<{copy}>"
    try:
        yield
    except RevisionNotFoundError as error:
        raise ValueError(
            f"the hub has no such revision of {what}: set {setting.partition('.')[0]}.revision=null for the newest, "
            f"or choose an existing revision, {remedy}"
        ) from error
    except GatedRepoError as error:
        raise ValueError(f"{what} has terms to accept on the hub: accept them and log in, {remedy}") from error
    except RepositoryNotFoundError as error:
        raise ValueError(f"the hub has no {what}: check the spelling of owner/name, {remedy}") from error
    except HfHubHTTPError as error:
        raise OSError(f"the hub would not give {what} ({error}): try again later, {remedy}") from error
    except ValueError:
        raise
    except DatasetsError as error:
        raise ValueError(f"{what} cannot be read ({error}): {remedy.removeprefix('or ')}") from error
    except Exception as error:
        raise OSError(
            OFFLINE.format(what=what, setting=setting, copy=copy, cache=huggingface_hub.constants.HF_HUB_CACHE)
        ) from error
