"""The scalar whose gradient a method takes, where its paper names one that may differ from the run's own."""

import copy

from harness import check
from harness.tracing.run import OUTPUTS, Trace

CHOICES = (*OUTPUTS, "run")


def check_output(output: str) -> None:
    """Raise ValueError for an output that `explaining` does not take."""
    check.choice("output", output, CHOICES)


def explaining(trace: Trace, output: str) -> Trace:
    """The same run of the model with another scalar of the same class as output; `run` keeps the run's own."""
    if output in ("run", trace.kind):
        return trace
    if output == "logit":
        return trace.by_logit
    other = copy.copy(trace)
    other.kind = output
    other.forget()
    return other
