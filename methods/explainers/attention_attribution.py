"""Self-attention attribution (Hao et al. 2021, equation 5). https://arxiv.org/abs/2004.11207"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.run import READ_OUTS, Trace
from harness.tracing.steps import check_one_sided
from methods.attention_steps import ReplacedAttention
from methods.explained_output import check_output, explaining

RULES = ("midpoint", "right", "left")


@dataclass(frozen=True)
class AttentionAttribution:
    """Integrated gradients of a layer's attention from zero to itself, summed over heads.

    All heads of the layer are scaled together and the later layers run on the result; rows of the scaled attention do
    not sum to 1, as published. Before the read-out, a layer's scores add up to the output minus the output when that
    layer attends to nothing, up to the error of the sum over steps.

    `steps` forward passes for each layer, and as many backward passes that end at that layer.

    Args:
        steps: points on the path.
        rule: where in each step they lie: at its `midpoint`, at its `right` end (the paper) or its `left` end (the
            authors' program).
        output: the scalar that is integrated, `probability` as in the paper, or `run` for the run's own.
        read_out: what the model's `head` reads, the explained position's `row`, or `max`, `mean` or `sum`
            over all queries.
    """

    cost: ClassVar[str] = "passes by step and layer"

    steps: int = 20
    rule: str = "midpoint"
    output: str = "probability"
    read_out: str = "head"

    def __post_init__(self):
        check.count("steps", self.steps)
        check.choice("rule", self.rule, RULES)
        check_output(self.output)
        check.choice("read_out", self.read_out, READ_OUTS)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for an encoder-decoder."""
        check_one_sided(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        return trace.read_out(self.attribute(trace).sum(dim=2), self.read_out)

    def attribute(self, trace: Trace) -> Tensor:
        """The scores of each attention weight, float64, `[batch, layer, head, query, key]`."""
        explained = explaining(trace, self.output)
        examples, layers = trace.attention.shape[:2]
        offset = {"left": 0.0, "midpoint": 0.5, "right": 1.0}[self.rule]
        share = (torch.arange(self.steps, device=trace.attention.device) + offset) / self.steps
        index = torch.arange(examples, device=share.device).repeat_interleave(self.steps)  # [variant]
        share = share.repeat(examples)  # [variant]
        at_once = max(1, trace.token_budget // trace.batch.input_ids.shape[1])
        total = torch.zeros_like(trace.attention, dtype=torch.float64)
        for layer in range(layers):
            for chosen, scale in zip(index.split(at_once), share.split(at_once), strict=True):
                gradient = self._gradient(explained, layer, chosen, scale.to(trace.attention.dtype))
                total[:, layer].index_add_(0, chosen, gradient.double())
        return total / self.steps * trace.attention

    def _gradient(self, trace: Trace, layer: int, index: Tensor, share: Tensor) -> Tensor:
        """Of the output at a layer's attention scaled by `share`, `[variant]`: `[variant, head, query, key]`."""
        scaled = (trace.attention[index, layer] * share.view(-1, 1, 1, 1)).requires_grad_()
        mode = ReplacedAttention(layer, scaled)
        with torch.enable_grad():
            with mode:
                logits = trace.logits_from(trace.embedding.detach()[index], index)
            layers = trace.attention.shape[1]
            if mode.seen != layers:
                raise ValueError(
                    f"expected one softmax over the keys in each of {layers} layers, saw {mode.seen}: "
                    "load the model with attn_implementation='eager'; an attention of another form cannot be scaled"
                )
            return torch.autograd.grad(trace.output(logits, index).sum(), scaled)[0]
