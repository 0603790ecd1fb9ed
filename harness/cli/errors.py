"""An error as one sentence on the terminal, and the exit status that goes with it."""

import difflib
import re
import tempfile
import traceback
from pathlib import Path

import conf
from harness.cli.progress import SCREEN


class CellsFailedError(Exception):
    """Some methods failed on some examples; all else was computed and reported."""


class JobsFailedError(Exception):
    """Some jobs of a sweep failed; the others were run and reported."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C came while examples were being explained; what was computed is kept."""


EXPECTED = (
    ValueError,
    OSError,
    CellsFailedError,
    JobsFailedError,
    Stopped,
)  # what checks raise, with a sentence of their own


def complain(error: BaseException) -> int:
    """Print the error's sentence; return the exit status: 130 after Ctrl-C, else 1."""
    SCREEN.print(f"assay: {account(error)}", style="red", highlight=False, markup=False, soft_wrap=True)
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def account(error: BaseException) -> str:
    """The error's sentence.

    What no check foresaw is a bug of ours: its traceback is kept in a file that the sentence names.
    """
    message = sentence(error)
    if message is None:
        with tempfile.NamedTemporaryFile("w", prefix="assay-", suffix=".txt", delete=False) as kept:
            kept.write("".join(traceback.format_exception(error)))
        message = (
            f"{type(error).__name__}: {error}. This was not foreseen, so it is a defect of Assay: "
            f"please report it with {Path(kept.name)}"
        )
    return message


def sentence(error: BaseException) -> str | None:
    """What went wrong and what to do, in one sentence; None for an error that nobody foresaw."""
    text = str(error)
    kind = type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return text or "stopped before anything was computed"
    if kind == "MissingConfigException":
        return _missing_choice(text)
    if kind in ("ConfigCompositionException", "ConfigKeyError", "ConfigAttributeError"):
        return _bad_override(error)
    if kind in ("OverrideParseException", "LexerNoViableAltException", "HydraException"):
        return f"{_first_line(text)}: quote overrides with brackets, e.g. 'explainers=[attention,flow]'"
    if kind == "TerminatedWorkerError":  # joblib's
        return (
            "the process of a job was killed or ran out of memory, and joblib gave up the sweep: go on with what it "
            "began by assay resume=<folder of the job>; a job without a folder was not begun"
        )
    if isinstance(error, RuntimeError) and "slurm cluster" in text:  # submitit's
        return "hydra/launcher=submitit_slurm needs a Slurm cluster: here use joblib or submitit_local, or leave it out"
    if kind == "InstantiationException":
        return _bad_parameter(error)
    if type(error).__module__.startswith(("omegaconf", "hydra")):
        return f"{_first_line(text)}: assay --help lists the settings"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return (
            f"{error.filename}: {error.strerror}. If this is the run folder, choose another with "
            "hydra.run.dir=<folder>, of a sweep with hydra.sweep.dir=<folder>; if the model cache, set the environment "
            "variable ASSAY_CACHE"
        )
    return text if isinstance(error, EXPECTED) else None


def _missing_choice(text: str) -> str:
    """A group's choices are its files, the nearest of them named."""
    match = re.search(r"Could not (?:find|load) '(.+?)'", text)
    if not match:
        return f"{_first_line(text)}: assay --help lists the groups and their choices"
    group, _, choice = match[1].rpartition("/")
    if group == "hydra/launcher":
        return f"there is no launcher {choice!r} here: pip install 'assay[sweep]' brings joblib and submitit's"
    options = sorted(path.stem for path in (Path(conf.__file__).parent / group).glob("*.yaml")) if group else []
    if not options:
        return f"there is no {match[1]!r}: assay --help lists the groups and their choices"
    near = difflib.get_close_matches(choice, options, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"there is no {choice!r} in {group}: choose from {', '.join(options)}{hint}"


def _bad_override(error: BaseException) -> str:
    text = f"{error}\n{error.__cause__ or ''}"
    match = re.search(r"Could not override '(.+?)'", text)
    if match:
        key = match[1]
        return (
            f"there is no setting {key!r}: assay --help lists the settings; "
            f"+{key}=... adds a parameter that a method takes but its file does not name"
        )
    return f"{_first_line(text)}: assay --help lists the settings"


def _bad_parameter(error: BaseException) -> str | None:
    """A constructor refused its arguments: say which setting, and what the constructor said."""
    where = re.search(r"full_key: (.+)", str(error))
    place = f"{where[1]}: " if where else ""
    cause = error.__cause__
    if cause is None:
        return f"{place}{_first_line(str(error))}"
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(cause))
    if unknown:
        known = _parameters(str(error))
        options = f": it takes {', '.join(known)}" if known else ""
        return f"{place}there is no parameter {unknown[1]!r}{options}"
    if "Error locating target" in str(error):
        missing = re.search(r"Error locating target '(.+?)'", str(error))
        return f"{place}{missing[1] if missing else 'its _target_'} cannot be imported: {_first_line(str(cause))}"
    return f"{place}{cause}" if isinstance(cause, (*EXPECTED, TypeError)) else None


def _parameters(text: str) -> list[str]:
    """Field names of the dataclass that an instantiation error names."""
    match = re.search(r"Error in call to target '(.+?)'", text)
    if not match:
        return []
    module, _, name = match[1].rpartition(".")
    return list(getattr(getattr(__import__(module, fromlist=[name]), name), "__dataclass_fields__", {}))


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "").rstrip(".:")
