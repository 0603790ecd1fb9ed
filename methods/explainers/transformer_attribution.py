"""Transformer attribution: gradients and propagated relevance (Chefer et al. 2021a, equations 13 and 14).

https://arxiv.org/abs/2012.09838
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.model_parts import model_layers
from harness.tracing.run import Trace
from harness.tracing.steps import check_one_sided
from methods.explained_output import explaining
from methods.gradient_attention import positive_product, without_own_entry
from methods.relevance_rules import RelevanceRules, check_plain


@dataclass(frozen=True)
class TransformerAttribution:
    """The product over layers of the identity plus (gradient * relevance of attention)+, averaged over heads.

    Relevance starts as 1 at the target's logit. What cannot affect the scores is not computed: biases, and everything
    below the first attention. The explained position's own entry is set to the smallest of the others; the authors'
    program sets it to zero.

    One forward and two backward passes in addition to the trace, all but one backward pass in float64.

    Args:
        start_layer: the first layer of the product, from 1; there are no scores (NaN) below it. The authors' program
            starts at the last of BERT-base's twelve.
        normalize: whether each layer's rows are divided by their sums, as an early version of the authors' program did.
    """

    cost: ClassVar[str] = "few passes"

    start_layer: int = 1
    normalize: bool = True

    def __post_init__(self):
        check.count("start_layer", self.start_layer)
        check.choice("normalize", self.normalize, (True, False))

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for an encoder-decoder, for steps that have no rule, or fewer layers than `start_layer`."""
        check_one_sided(model)
        layers = len(model_layers(model))
        check_plain(model)
        if self.start_layer > layers:
            raise ValueError(f"start_layer is one of the model's {layers} layers, got {self.start_layer}")

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        self.check_model(trace.model)
        gradient = explaining(trace, "logit").attention_gradient
        maps = positive_product(self.relevance(trace), gradient)  # [batch, layer, query, key]
        layers = maps.shape[1]
        identity = torch.diag_embed(trace.batch.attention_mask.to(maps.dtype))  # [batch, query, key]
        maps = maps + identity[:, None]
        if self.normalize:
            total = maps.sum(dim=-1, keepdim=True)
            maps = maps / total.where(total > 0, 1.0)  # padding's rows alone are empty
        rolled, product = [torch.full_like(identity, torch.nan)] * (self.start_layer - 1), identity
        for layer in range(self.start_layer - 1, layers):
            product = maps[:, layer] @ product
            rolled.append(product)
        return without_own_entry(trace, trace.read_out(torch.stack(rolled, dim=1)))

    def relevance(self, trace: Trace) -> Tensor:
        """Of each attention weight for the target's logit, float64, `[batch, layer, head, query, key]`."""
        explained = explaining(trace, "logit")
        inputs = trace.embedding.detach().double().requires_grad_()
        index = torch.arange(len(inputs), device=inputs.device)
        rules = RelevanceRules()
        with torch.enable_grad():
            with rules:
                value = explained.forward_from(inputs, index).sum()
            return torch.stack(torch.autograd.grad(value, rules.attention), dim=1)
