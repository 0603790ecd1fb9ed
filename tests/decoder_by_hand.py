"""A decoder written out from its weights: one sentence, one token and one head at a time, in float64.

It knows the modules of each type itself, and uses nothing from `methods` or `harness.tracing`.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


class LayerByHand:
    """One layer's modules by role, and what it computed."""

    def __init__(self, kind: str, module: Any, heads: int):
        self.heads, self.parallel, self.after_attention, self.after_mlp = heads, False, None, None
        if kind == "gpt2":
            size = module.attn.c_proj.weight.shape[0]
            weight, bias = module.attn.c_attn.weight.T[2 * size :], module.attn.c_attn.bias[2 * size :]
            self.value: Map = lambda state: state @ weight.T + bias
            self.projection, self.bias = module.attn.c_proj.weight.T, module.attn.c_proj.bias
            self.first, self.second, self.mlp = module.ln_1, module.ln_2, module.mlp
            self.inner: Map = module.mlp.c_fc
            self.gate: Map | None = None
            self.activation, self.outer = module.mlp.act, module.mlp.c_proj
        elif kind == "gpt_neox":
            fused, size = module.attention.query_key_value, module.attention.head_size
            rows = [head * 3 * size + 2 * size + one for head in range(heads) for one in range(size)]
            self.value = lambda state: state @ fused.weight[rows].T + fused.bias[rows]
            self.projection, self.bias = module.attention.dense.weight, module.attention.dense.bias
            self.first, self.second, self.mlp = module.input_layernorm, module.post_attention_layernorm, module.mlp
            self.inner, self.gate, self.activation = module.mlp.dense_h_to_4h, None, module.mlp.act
            self.outer = module.mlp.dense_4h_to_h
            self.parallel = module.use_parallel_residual
        else:
            self.value = module.self_attn.v_proj
            self.projection = module.self_attn.o_proj.weight
            self.bias = torch.zeros(len(self.projection), dtype=self.projection.dtype)
            self.first, self.second, self.mlp = module.input_layernorm, module.post_attention_layernorm, module.mlp
            self.inner, self.gate = module.mlp.up_proj, module.mlp.gate_proj
            self.activation, self.outer = module.mlp.act_fn, module.mlp.down_proj
            if kind.startswith(("gemma2", "gemma3")):
                self.second = module.pre_feedforward_layernorm
                self.after_attention = module.post_attention_layernorm
                self.after_mlp = module.post_feedforward_layernorm
        self.state = self.output = self.mixed = self.attended = torch.empty(0)
        self.attention: list[Tensor] = []  # [query, key] of each head

    def values(self) -> list[Tensor]:
        """Each head's value vectors, `[key, size]`, shared where there are fewer."""
        size = self.projection.shape[1] // self.heads
        own = list(self.value(self.first(self.state)).split(size, dim=1))
        return [own[head * len(own) // self.heads] for head in range(self.heads)]

    def part(self, query: int, key: int, head: int) -> Tensor:
        """What one head reads from one key, through its slice of the projection, `[hidden]`."""
        size = self.projection.shape[1] // self.heads
        own = self.projection[:, head * size : (head + 1) * size]
        return self.attention[head][query, key] * (own @ self.values()[head][key])

    def summed(self, query: int, key: int) -> Tensor:
        """The same over all heads."""
        return sum((self.part(query, key, head) for head in range(self.heads)), torch.zeros(()))

    def written(self, query: int, part: Tensor) -> Tensor:
        """A part's share of the norm of attention's output, with the norm's true scale."""
        return part if self.after_attention is None else norm_share(self.after_attention, part, self.mixed[query])

    def block(self, query: int, mixed: Tensor) -> Tensor:
        """The layer's output at a query whose attention's output is `mixed`, `[hidden]`."""
        attended = self.state[query] + (mixed if self.after_attention is None else self.after_attention(mixed))
        read = self.second(self.state[query] if self.parallel else attended)
        fed = self.mlp(read)
        return attended + (fed if self.after_mlp is None else self.after_mlp(fed))


def norm_scale(norm: Any, total: Tensor) -> tuple[Tensor, Tensor, bool]:
    """The gain, what the total is divided by, and whether it is centred."""
    if isinstance(norm, torch.nn.LayerNorm):
        return norm.weight, (total.var(unbiased=False) + norm.eps).sqrt(), True
    epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
    gain = norm.weight + 1 if "Gemma" in type(norm).__name__ else norm.weight
    return gain, (total.square().mean() + epsilon).sqrt(), False


def norm_share(norm: Any, part: Tensor, total: Tensor) -> Tensor:
    """What a part of the total becomes in the norm of the total."""
    gain, scale, centred = norm_scale(norm, total)
    return (part - part.mean() if centred else part) / scale * gain


class DecoderByHand:
    """One sentence through a causal language model of transformers, all states kept."""

    def __init__(self, kind: str, inner: Any, ids: Sequence[int], words: Sequence[int]):
        self.kind, self.ids, self.words = kind.split()[0], list(ids), list(words)
        self.inner = copy.deepcopy(inner).double()
        body = self.inner.base_model
        modules = list(body.h if self.kind == "gpt2" else body.layers)
        self.heads: int = self.inner.config.num_attention_heads
        self.layers = [LayerByHand(self.kind, module, self.heads) for module in modules]
        seen: list[tuple[Tensor, Tensor]] = []

        def keep(_module: Any, inputs: Any, output: Any) -> None:
            seen.append((inputs[0][0].detach(), (output[0] if isinstance(output, tuple) else output)[0].detach()))

        hooks = [module.register_forward_hook(keep) for module in modules]
        with torch.no_grad():
            result = self.inner(torch.tensor([self.ids]), output_attentions=True, use_cache=False)
        for hook in hooks:
            hook.remove()
        self.logits = result.logits[0, -1, self.words]
        for layer, (state, output), weights in zip(self.layers, seen, result.attentions, strict=True):
            layer.state, layer.output, layer.attention = state, output.view_as(state), list(weights[0].double())
            size = layer.projection.shape[1] // layer.heads
            mixed = [head @ value for head, value in zip(layer.attention, layer.values(), strict=True)]
            layer.mixed = torch.cat(mixed, dim=1) @ layer.projection.T + layer.bias
            assert layer.projection.shape[1] == size * layer.heads
            layer.attended = layer.state + (
                layer.mixed if layer.after_attention is None else layer.after_attention(layer.mixed)
            )

    @property
    def n(self) -> int:
        """The number of tokens; the last one is explained."""
        return len(self.ids)

    @property
    def final_norm(self) -> Any:
        """The norm before the head."""
        body = self.inner.base_model
        return body.ln_f if self.kind == "gpt2" else body.final_layer_norm if self.kind == "gpt_neox" else body.norm

    @property
    def head(self) -> Tensor:
        """The output embedding of the two words, `[2, hidden]`."""
        return self.inner.get_output_embeddings().weight[self.words]

    def difference(self, ids: Sequence[int] | None = None) -> Tensor:
        """The first word's logit minus the second's after some tokens."""
        with torch.no_grad():
            logits = self.inner(torch.tensor([self.ids if ids is None else list(ids)])).logits[0, -1, self.words]
        return logits[0] - logits[1]
