"""The evaluation protocol: which output is explained, which tokens are ranked, and how."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from harness import check
from harness.contracts import ChoosesRemoval, Model, Task
from harness.statistics.correlation import RANKS
from harness.tracing.batch import INCLUDE, Example, collate
from harness.tracing.run import OUTPUTS, REMOVALS, TARGETS, Trace


@dataclass(frozen=True)
class EvaluationProtocol:
    """What is explained and how it is ranked, the same for all methods of a run.

    Args:
        target: the class that is explained: `predicted`, `gold`, or the name of one of the task's classes.
        output: its scalar: `probability`, `logit`, `difference` or `logit_difference`; `task` for the task's own.
        include: the ranked tokens: `all`, `no_cls`, `prompt`, `content`, `source` or `target`; see `collate`.
        ranks: how ties are ranked, `average` or `dense`.
        token_budget: tokens in one run of the model, padding counted; it changes no number.
        removal: how methods that do not say how remove a token: one of `REMOVALS`, or `task` for the task's own (else
            `unk`, in a model that writes text `ignore`).
    """

    target: str = "predicted"
    output: str = "difference"
    include: str = "content"
    ranks: str = "average"
    token_budget: int = 2048
    removal: str = "task"

    def __post_init__(self):
        check.choice("output", self.output, (*OUTPUTS, "task"))
        check.choice("include", self.include, INCLUDE)
        check.choice("ranks", self.ranks, RANKS)
        check.choice("removal", self.removal, (*REMOVALS, "task"))
        check.count("token_budget", self.token_budget)

    def of(self, task: Task) -> "EvaluationProtocol":
        """With the task's own output unless one is chosen; ValueError where it has no class called `target`."""
        target = str(self.target)  # a class may be called 1
        check.choice("target", target, [*TARGETS, *task.classes])
        chosen = task.removal if isinstance(task, ChoosesRemoval) else "task"
        removal = chosen if self.removal == "task" else self.removal
        output = task.output if self.output == "task" else self.output
        return replace(self, target=target, output=output, removal=removal)

    def on(self, model: Model) -> "EvaluationProtocol":
        """With the removal for this kind of model, unless one is chosen."""
        removal = "ignore" if model.causal or model.two_sided else "unk"
        return replace(self, removal=removal) if self.removal == "task" else self

    def trace(
        self,
        model: Model,
        examples: Sequence[Example],
        classes: Sequence[str] = (),
        device: torch.device | str = "cpu",
        budget: int | None = None,
        padded: bool = True,
    ) -> Trace:
        """The examples in one batch, explained as this protocol says; `budget` replaces its own token budget.

        `padded` as in `Trace`.
        """
        batch = collate(examples, self.include, model.blank_ids, device)
        target = classes.index(self.target) if self.target in classes else self.target
        budget = self.token_budget if budget is None else budget
        return Trace(model.module, batch, target, self.output, budget, padded=padded, removal=self.on(model).removal)
