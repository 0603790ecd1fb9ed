"""Which scalar a method takes the gradient of, where its paper names one that need not be the run's own."""

import copy

from harness import check
from harness.tracing.run import OUTPUTS, Trace

CHOICES = (*OUTPUTS, "run")


def check_output(output: str) -> None:
    """Raise ValueError for an output that `explaining` does not take."""
    check.choice("output", output, CHOICES)


def explaining(trace: Trace, output: str) -> Trace:
    """The same run of the model, explained by another scalar of the same class; `run` keeps the run's own."""
    if output in ("run", trace.kind):
        return trace
    if output == "logit":
        return trace.by_logit
    other = copy.copy(trace)
    other.kind = output
    other.forget()
    return other
