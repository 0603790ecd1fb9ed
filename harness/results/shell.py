"""Arguments of the command line, quoted so that they can be pasted into a shell."""

import re
import shlex
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9_./:+%@-]*[/A-Za-z_][A-Za-z0-9_./:+%@-]*")
# What an override would read as something else than text
SPECIAL = re.compile(r"(true|false|null|nan|[+-]?inf|[+-]?[\d_.]+(e[+-]?\d+)?)", re.IGNORECASE)


def argument(key: str, text: str | Path) -> str:
    """`key=text` for a shell, `text` in the quotes that it needs as an override of Hydra's."""
    return shlex.quote(f"{key}={override_text(str(text))}")


def override_text(text: str) -> str:
    """A text as an override of Hydra's says it."""
    if PLAIN.fullmatch(text) and not SPECIAL.fullmatch(text):
        return text
    # a backslash stands for itself, but not before a quotation mark, the end, or an interpolation
    inner = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + ("\\" if match[2] else "") + match[2], text)
    return '"' + re.sub(r"(\\*)\$\{", r"\1\1\\${", inner) + '"'


def pasted(path: str | Path) -> str:
    """A path for a shell."""
    return shlex.quote(str(path))
