"""How much the output changes when a token is blanked out (Abnar & Zuidema 2020, section 4).

https://arxiv.org/abs/2005.00928
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.batch import Batch, Role, without
from harness.tracing.run import Trace
from methods.blanks import blank_id, check_positions

BLANK_TOKENS = ("unk", "mask", "pad", "delete")
BLANK_CLASSES = ("target", "gold", "predicted", "difference")
FINAL_TOKENS = ("score", "zero", "drop")


@dataclass(frozen=True)
class BlankOut:
    """Absolute change of the output when one token at a time is replaced or deleted.

    Args:
        blank_token: what replaces a token: `unk`, `mask`, `pad`, or nothing (`delete`). The explained position
            cannot be deleted and then has no score.
        blank_class: `target`, the run's own output; the probability of the `gold` or the `predicted` class; or the
            `difference` between the target's probability and that of the strongest other class.
        final_token: the end token's score: as measured (`score`), set to `zero`, or left out of the ranking (`drop`).
            The authors' program sets it to zero, which the paper does not mention.
    """

    cost: ClassVar[str] = "passes by token"

    blank_token: str = "unk"
    blank_class: str = "target"
    final_token: str = "score"

    def __post_init__(self):
        check.choice("blank_token", self.blank_token, BLANK_TOKENS)
        check.choice("blank_class", self.blank_class, BLANK_CLASSES)
        check.choice("final_token", self.final_token, FINAL_TOKENS)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError where a blanked token would move the positions of all later ones."""
        check_positions(self.blank_token, model, "blank_token", "unk, mask or delete")

    def __call__(self, trace: Trace) -> Tensor:  # [batch, token]
        batch = trace.batch
        example, token = batch.attention_mask.nonzero(as_tuple=True)  # [variant] each
        if self.blank_token == "delete":
            kept = token != batch.position[example]
            example, token = example[kept], token[kept]
            inputs = without(batch.at(example), token)
        else:
            inputs = batch.at(example)
            inputs["input_ids"][torch.arange(len(token), device=token.device), token] = self._blank_id(batch)
        changed = self._value(trace, trace.rerun(inputs), example)
        whole = self._value(trace, trace.logits, torch.arange(len(batch.examples), device=token.device))
        scores = whole.new_full(batch.input_ids.shape, torch.nan)
        scores[example, token] = (changed - whole[example]).abs()
        if self.blank_token != "delete":  # nothing was replaced, nothing changed: exactly, in any batch
            scores[(batch.input_ids == self._blank_id(batch)) & (batch.attention_mask == 1)] = 0.0
        if self.final_token != "score":
            scores[batch.role == Role.FINAL] = 0.0 if self.final_token == "zero" else torch.nan
        return scores

    def _blank_id(self, batch: Batch) -> int:
        return blank_id(batch, self.blank_token, "blank_token", ["delete"])

    def _value(self, trace: Trace, logits: Tensor, example: Tensor) -> Tensor:
        if self.blank_class in ("target", "difference"):
            return trace.output(logits, example, None if self.blank_class == "target" else "difference")
        chosen = trace.gold if self.blank_class == "gold" else trace.predicted
        return trace.probabilities(logits).gather(1, chosen[example, None])[:, 0]
