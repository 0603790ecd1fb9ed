"""An error as one sentence on the terminal, and its exit status."""

import difflib
import re
import tempfile
import traceback
from dataclasses import fields, is_dataclass
from pathlib import Path

from harness.cli.groups import choices, groups, run_settings
from harness.cli.progress import SCREEN
from harness.results.shell import argument


class CellsFailedError(Exception):
    """Some methods failed on some examples; everything else was computed and reported."""


class JobsFailedError(Exception):
    """Some jobs of a sweep failed; the others ran and were reported."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGUSR2 came; finished batches are saved."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGUSR2 came, with which clusters end a job."""


# What checks raise, with a sentence of their own
EXPECTED = (ValueError, OSError, CellsFailedError, JobsFailedError, Stopped)


def print_error(error: BaseException) -> int:
    """Print the error's message; return the exit status: 130 after Ctrl-C, 143 where a cluster ends a job, else 1."""
    SCREEN.print(f"assay: {message(error)}", style="red", highlight=False, markup=False, soft_wrap=True)
    if isinstance(error, Terminated) or isinstance(error.__cause__, Terminated):
        return 143
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def print_warning(text: str, style: str = "yellow") -> None:
    """Print a sentence that stops nothing."""
    SCREEN.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def message(error: BaseException) -> str:
    """The error in one sentence.

    An error that no check expects is a bug: its traceback is kept in a file that the sentence names.
    """
    text = expected(error)
    if text is None:
        with tempfile.NamedTemporaryFile("w", prefix="assay-", suffix=".txt", delete=False) as kept:
            kept.write("".join(traceback.format_exception(error)))
        text = (
            f"{type(error).__name__}: {error}. Unexpected error; this is a bug in Assay: "
            f"please report it together with {Path(kept.name)}"
        )
    return text


def expected(error: BaseException) -> str | None:
    """What went wrong and what to do, in one sentence; None for an error that no check expects."""
    text = str(error)
    kind = type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return text or "stopped before anything was computed"
    if kind == "MissingConfigException":
        return _missing_choice(text)
    if override := getattr(error, "override", None):
        return _with_quotes(override)
    if override := _ambiguous(text):
        key, _, value = override.partition("=")
        return f"{override} names several values: type {argument(key, value)} if it is one, or add -m for a sweep"
    if kind in ("ConfigCompositionException", "ConfigKeyError", "ConfigAttributeError"):
        return _bad_override(error)
    if kind == "TerminatedWorkerError":  # joblib's
        return (
            "the process of a job was killed or ran out of memory, and joblib gave up the sweep: continue "
            "what it began with assay resume=<folder of the job>; a job without a folder was not begun"
        )
    if isinstance(error, RuntimeError) and "slurm cluster" in text:  # submitit's
        return "hydra/launcher=submitit_slurm needs a Slurm cluster: here use joblib or submitit_local, or leave it out"
    if kind == "FailedJobError":  # submitit's, of sbatch
        refusal = _first_line("\n".join(reversed(text.splitlines())))
        return (
            f"Slurm did not take the jobs ({refusal}): check hydra.launcher.partition, and cpus_per_task, mem_gb, "
            "gpus_per_node and timeout_min beside it; "
            "assay hydra/launcher=cluster --cfg hydra -p hydra.launcher shows them all"
        )
    if kind == "InstantiationException":
        return _bad_parameter(error)
    if type(error).__module__.startswith(("omegaconf", "hydra")):
        return f"{_first_line(text)}: assay --cfg job shows the settings"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return (
            f"{error.filename}: {error.strerror}. If this is the run folder, choose another with "
            "hydra.run.dir=<folder>, of a sweep with hydra.sweep.dir=<folder>; if the model cache, set the environment "
            "variable ASSAY_CACHE"
        )
    return text if isinstance(error, EXPECTED) else None


def _ambiguous(text: str) -> str | None:
    """The override whose commas Hydra takes for a sweep."""
    match = re.match(r"Ambiguous value for argument '(.+)'\n", text)
    return match[1] if match else None


def _with_quotes(override: str) -> str:
    """An override that cannot be read, and how it must be typed."""
    key, equals, value = override.partition("=")
    if not equals or not value or value[0] in "[{":
        return (
            f"{override!r} cannot be read: an override is key=value; quote it for the shell where it has brackets, "
            "as in 'explainers=[attention,flow]'"
        )
    return f"{override} cannot be read as it stands: type {argument(key, value)}"


def _missing_choice(text: str) -> str:
    """A group's choices are its files; the nearest is suggested."""
    match = re.search(r"Could not (?:find|load) '(.+?)'", text)
    if not match:
        return f"{_first_line(text)}: assay --help shows the groups, assay list their choices"
    group, _, choice = match[1].rpartition("/")
    if group == "hydra/launcher":
        return f"there is no launcher {choice!r} here: pip install 'assay[sweep]' brings joblib and submitit's"
    options = choices(group) if group else []
    if not options:
        return f"there is no {match[1]!r}: assay --help shows the groups, assay list their choices"
    near = difflib.get_close_matches(choice, options, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"there is no {choice!r} in {group}: choose from {', '.join(options)}{hint}"


def _bad_override(error: BaseException) -> str:
    text = f"{error}\n{error.__cause__ or ''}"
    match = re.search(r"Could not override '(.+?)'", text)
    if match:
        key = match[1]
        near = difflib.get_close_matches(key, [*run_settings(), *groups()], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return (
            f"there is no setting {key!r}{hint}: assay --cfg job shows the settings; "
            f"+{key}=... adds a parameter that a method takes but its file does not name"
        )
    return f"{_first_line(text)}: assay --cfg job shows the settings"


def _bad_parameter(error: BaseException) -> str | None:
    """A constructor refused its arguments: say which setting, and what the constructor said."""
    key = re.search(r"full_key: (.+)", str(error))
    where = f"{key[1]}: " if key else ""
    cause = error.__cause__
    if cause is None:
        return f"{where}{_first_line(str(error))}"
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(cause))
    if unknown:
        known = _parameters(str(error))
        options = f": it takes {', '.join(known)}" if known else ""
        return f"{where}there is no parameter {unknown[1]!r}{options}"
    if "Error locating target" in str(error):
        missing = re.search(r"Error locating target '(.+?)'", str(error))
        return f"{where}{missing[1] if missing else 'its _target_'} cannot be imported: {_first_line(str(cause))}"
    return f"{where}{cause}" if isinstance(cause, (*EXPECTED, TypeError)) else None


def _parameters(text: str) -> list[str]:
    """Parameters of the dataclass that an instantiation error names."""
    match = re.search(r"Error in call to target '(.+?)'", text)
    if not match:
        return []
    module, _, name = match[1].rpartition(".")
    found = getattr(__import__(module, fromlist=[name]), name)
    return [field.name for field in fields(found)] if is_dataclass(found) else []


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "").rstrip(".:")
