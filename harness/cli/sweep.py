"""The jobs of a sweep: what is kept of one that failed, and the one leaderboard at the end."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.cli.errors import JobsFailedError, Stopped
from harness.report import write
from harness.results.pooled import found
from harness.results.run_folder import RunFolder

KILLED = "its process ended before the job did: it was killed, or ran out of memory"


def record_failure(folder: RunFolder, told: Mapping[str, Any], error: str) -> None:
    """Write into a job's folder that it failed: into the manifest that the run wrote, or else into what is `told`."""
    manifest = folder.manifest if folder.holds_a_run else told
    folder.write_manifest({**manifest, "status": "failed", "error": error})


def forget_failure(folder: RunFolder) -> bool:
    """Clear the folder of a job that failed before it had a model, so that it starts anew; whether it was one."""
    early = folder.holds_a_run and folder.manifest["status"] == "failed" and "model" not in folder.manifest
    if early:
        (folder.path / "manifest.json").unlink()
    return early


def stopped(folder: Path) -> Stopped:
    """The sentence after Ctrl-C in a sweep."""
    return Stopped(
        f"the sweep was stopped; what was computed is kept: assay resume={folder}/<number> goes on with a job, and "
        f"assay-report {folder} makes the table of what is there"
    )


def conclude(folder: Path, told: Callable[[Path], Mapping[str, Any]]) -> None:
    """Write and show the leaderboard of a sweep whose jobs have all ended.

    Args:
        folder: the sweep's.
        told: what the job in a folder was to do, where its process ended before there was a manifest.

    Raises:
        JobsFailedError: after that, where a job or some rows of it failed.
    """
    jobs = [RunFolder(path.parent) for path in folder.glob("*/.hydra")]
    if not jobs:
        return  # refused before the first job
    for job in jobs:
        if not job.holds_a_run or job.manifest["status"] == "running":
            record_failure(job, told(job.path), f"{KILLED}; assay resume={job.path} goes on")
    write.sweep([folder], folder)
    manifests = [RunFolder(path).manifest for path in found([folder])]
    failed = sum(manifest["status"] != "complete" for manifest in manifests)
    partly = sum(manifest.get("counts", {}).get("failed", 0) > 0 for manifest in manifests)
    if failed or partly:
        texts = [f"{failed} of {len(manifests)} jobs failed"] * bool(failed)
        texts += [f"{partly} of {len(manifests)} jobs have rows that failed"] * bool(partly)
        raise JobsFailedError(
            f"{' and '.join(texts)}: why stands under the table; assay resume=<folder of a job> does one again, and "
            f"assay-report {folder} then makes the whole table"
        )
