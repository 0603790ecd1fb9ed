"""Progressive inference: what the output gains when the next token is read (Kariyappa et al. 2024, section 4).

https://arxiv.org/abs/2406.02625
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.tracing.model_parts import logit_steps
from harness.tracing.run import Trace
from methods.logit_direction import check_parts


@dataclass(frozen=True)
class ProgressiveInference:
    """The output of the text up to a token less that of the text before it; signed, and the sum is the output.

    A causal model computes the state of every prefix's last token in its one run, so nothing is run again. The first
    token's score is the output of that token alone.
    """

    cost: ClassVar[str] = "no pass"
    layerless: ClassVar[bool] = True

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that is not causal, or whose head is not known."""
        if not getattr(model, "causal", False):
            raise ValueError("it reads the output of every prefix, which only a causal model computes")
        logit_steps(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        words = trace.batch.inputs.get("candidates")
        rows = []
        for index, states in enumerate(trace.hidden[:, -1]):
            for step in logit_steps(trace.model, None if words is None else words[index]):
                states = step(states)
            rows.append(trace.output(states, torch.full((len(states),), index, device=states.device)))
        outputs = torch.stack(rows)  # [batch, token]
        whole = outputs.gather(1, trace.batch.position[:, None])[:, 0]
        check_parts(whole, trace.output(trace.logits), trace)
        later = torch.arange(outputs.shape[1], device=outputs.device) > trace.batch.position[:, None]
        return outputs.diff(dim=1, prepend=torch.zeros_like(outputs[:, :1])).masked_fill(later, 0.0)[:, None]
