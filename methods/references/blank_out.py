"""How much the output changes when a token is blanked out (Abnar & Zuidema 2020, section 4).

https://arxiv.org/abs/2005.00928
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.batch import Role
from harness.tracing.run import Trace
from methods.removal import can_go, check_parameters, check_removal, draws_of, logits_without

BLANK_CLASSES = ("target", "gold", "predicted", "difference")
FINAL_TOKENS = ("score", "zero", "drop")


@dataclass(frozen=True)
class BlankOut:
    """Absolute change of the output when one token at a time is removed.

    Args:
        removal: how, see `methods.removal`. Where several texts are swapped from, the mean of the changes. The
            explained position cannot be deleted and then has no score.
        blank_class: `target`, the run's own output; the probability of the `gold` or the `predicted` class; or the
            `difference` between the target's probability and that of the strongest other class.
        final_token: the end token's score: as measured (`score`), set to `zero`, or left out of the ranking (`drop`).
            The authors' program sets it to zero, which the paper does not mention.
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "run"
    blank_class: str = "target"
    final_token: str = "score"

    def __post_init__(self):
        check_parameters(self.removal)
        check.choice("blank_class", self.blank_class, BLANK_CLASSES)
        check.choice("final_token", self.final_token, FINAL_TOKENS)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, token]
        return self._scores(trace, self._changes(trace).mean(dim=0))

    def halves(self, trace: Trace) -> tuple[Tensor, Tensor] | None:
        """Scores from either half of the texts to swap from, `[batch, token]` each; None for fewer than two."""
        if draws_of(trace, self.removal) < 2:
            return None
        changes = self._changes(trace)
        return self._scores(trace, changes[0::2].mean(dim=0)), self._scores(trace, changes[1::2].mean(dim=0))

    def _changes(self, trace: Trace) -> Tensor:  # [draw, variant]
        return trace.once(self._run)  # scores and halves need the same runs

    def _run(self, trace: Trace) -> Tensor:  # [draw, variant]
        example, token = can_go(trace, self.removal).nonzero(as_tuple=True)  # [variant] each
        removed = torch.zeros(len(token), trace.batch.input_ids.shape[1], dtype=torch.bool, device=token.device)
        removed[torch.arange(len(token), device=token.device), token] = True
        whole = self._value(trace, trace.logits, torch.arange(len(trace.batch.examples), device=token.device))
        drawn = logits_without(trace, removed, self.removal, example)
        return torch.stack([(self._value(trace, one, example) - whole[example]).abs() for one in drawn])

    def _scores(self, trace: Trace, changes: Tensor) -> Tensor:  # [batch, token]
        gone = can_go(trace, self.removal)
        scores = changes.new_full(gone.shape, torch.nan)
        scores[gone] = changes
        if self.final_token != "score":
            scores[trace.batch.role == Role.FINAL] = 0.0 if self.final_token == "zero" else torch.nan
        return scores

    def _value(self, trace: Trace, logits: Tensor, example: Tensor) -> Tensor:
        if self.blank_class in ("target", "difference"):
            return trace.output(logits, example, None if self.blank_class == "target" else "difference")
        chosen = trace.gold if self.blank_class == "gold" else trace.predicted
        return trace.probabilities(logits).gather(1, chosen[example, None])[:, 0]
