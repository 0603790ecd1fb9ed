"""An encoder-decoder written out from its modules: one pair of texts, one token and one head at a time, in float64.

It knows the modules of each type itself, and uses nothing from `methods` or `harness.tracing`.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tests.decoder_by_hand import norm_share

POST_NORM = ("marian", "bart")


class Block:
    """One attention with its residual and its norm, and what a run computed around it."""

    def __init__(self, attention: Any, norm: Any, heads: int, post_norm: bool):
        self.module, self.norm, self.heads, self.post_norm = attention, norm, heads, post_norm
        self.value, self.out = (
            (attention.v_proj, attention.out_proj) if hasattr(attention, "v_proj") else (attention.v, attention.o)
        )
        self.query = self.keys = self.norm_in = self.norm_out = torch.empty(0)  # [token, hidden]
        self.attention: list[Tensor] = []  # [query, key] of each head

    def hooks(self) -> list[Any]:
        """They keep what goes in and out while a run lasts."""

        def attended(_module: Any, given: Any, named: Any, _output: Any) -> None:
            query = given[0] if given else named["hidden_states"]
            other = named.get("key_value_states")
            self.query, self.keys = query[0].detach(), (query if other is None else other)[0].detach()

        def normed(_module: Any, given: Any, output: Tensor) -> None:
            self.norm_in, self.norm_out = given[0][0].detach(), output[0].detach()

        return [
            self.module.register_forward_hook(attended, with_kwargs=True),
            self.norm.register_forward_hook(normed),
        ]

    @property
    def residual(self) -> Tensor:
        """What bypasses attention, `[query, hidden]`."""
        return self.query if self.post_norm else self.norm_in

    def part(self, query: int, key: int, head: int) -> Tensor:
        """What one head reads from one key, `[hidden]`."""
        size = self.out.weight.shape[1] // self.heads
        own = slice(head * size, (head + 1) * size)
        return self.attention[head][query, key] * (self.out.weight[:, own] @ self.value(self.keys[key])[own])

    def summed(self, query: int, key: int) -> Tensor:
        """The same over all heads."""
        return sum((self.part(query, key, head) for head in range(self.heads)), torch.zeros(()))

    def attended(self, query: int) -> Tensor:
        """Residual and attention's output together, `[hidden]`."""
        keys = range(len(self.keys))
        bias = 0 if self.out.bias is None else self.out.bias
        return self.residual[query] + sum(self.summed(query, key) for key in keys) + bias

    def output(self, query: int) -> Tensor:
        """What the block passes on, `[hidden]`."""
        return self.norm_out[query] if self.post_norm else self.attended(query)

    def share(self, query: int, part: Tensor) -> Tensor:
        """What a part becomes in the block's output, `[hidden]`."""
        return norm_share(self.norm, part, self.norm_in[query]) if self.post_norm else part


class EncoderDecoderByHand:
    """One pair of texts through a model of transformers, everything kept; the last token of the prefix is explained."""

    def __init__(self, kind: str, inner: Any, source: Sequence[int], target: Sequence[int], words: Sequence[int]):
        self.kind, self.words = kind.split()[0], list(words)
        self.source, self.target = torch.tensor([list(source)]), torch.tensor([list(target)])
        self.inner = copy.deepcopy(inner).double().requires_grad_(False)
        self.post_norm = self.kind in POST_NORM
        heads = self.inner.config.num_attention_heads
        encoder, decoder = self.inner.get_encoder(), self.inner.get_decoder()
        if self.kind == "t5":
            self.encoder_layers, self.decoder_layers = list(encoder.block), list(decoder.block)
            make = [(one.layer[0].SelfAttention, one.layer[0].layer_norm) for one in self.encoder_layers]
            own = [(one.layer[0].SelfAttention, one.layer[0].layer_norm) for one in self.decoder_layers]
            cross = [(one.layer[1].EncDecAttention, one.layer[1].layer_norm) for one in self.decoder_layers]
        else:
            self.encoder_layers, self.decoder_layers = list(encoder.layers), list(decoder.layers)
            make = [(one.self_attn, one.self_attn_layer_norm) for one in self.encoder_layers]
            own = [(one.self_attn, one.self_attn_layer_norm) for one in self.decoder_layers]
            cross = [(one.encoder_attn, one.encoder_attn_layer_norm) for one in self.decoder_layers]
        self.encoder, self.own, self.cross = (
            [Block(*pair, heads, self.post_norm) for pair in pairs] for pairs in (make, own, cross)
        )
        blocks = [*self.encoder, *self.own, *self.cross]
        hooks = [hook for block in blocks for hook in block.hooks()]
        self.final_norm_in: list[Tensor] = []  # of each encoder and then each decoder layer's last norm, post-LN
        if self.post_norm:
            for layer in (*self.encoder_layers, *self.decoder_layers):
                hooks.append(layer.final_layer_norm.register_forward_hook(self._keep_summed))
        self.last = torch.empty(0)  # the last decoder layer's own output
        hooks.append(self.decoder_layers[-1].register_forward_hook(self._keep_last))
        result = self.run(output_attentions=True)
        for hook in hooks:
            hook.remove()
        weights = [*result.encoder_attentions, *result.decoder_attentions, *result.cross_attentions]
        for block, one in zip(blocks, weights, strict=True):
            block.attention = list(one[0].double())
        self.logits = result.logits[0, -1, self.words]

    def _keep_summed(self, _module: Any, given: Any, _output: Any) -> None:
        self.final_norm_in.append(given[0][0].detach())

    def _keep_last(self, _module: Any, _given: Any, output: Any) -> None:
        self.last = (output[0] if isinstance(output, tuple) else output)[0].detach()

    def run(self, **options: Any) -> Any:
        """The model's own run."""
        with torch.no_grad():
            return self.inner(input_ids=self.source, decoder_input_ids=self.target, use_cache=False, **options)

    @property
    def sizes(self) -> tuple[int, int]:
        """Tokens of the source and of the prefix."""
        return self.source.shape[1], self.target.shape[1]

    def layer_output(self, layer: Any, zeroed: Any, row: int) -> Tensor:
        """A layer's output, `[token, hidden]`, with one token's value vector set to zero in `zeroed`, a `Block`."""
        kept: list[Tensor] = []

        def zero(_module: Any, _given: Any, output: Tensor) -> Tensor:
            output = output.clone()
            output[0, row] = 0.0
            return output

        def keep(_module: Any, _given: Any, output: Any) -> None:
            kept.append((output[0] if isinstance(output, tuple) else output)[0])

        hooks = [layer.register_forward_hook(keep)]
        if zeroed is not None:
            hooks.append(zeroed.value.register_forward_hook(zero))
        self.run()
        for hook in hooks:
            hook.remove()
        return kept[0]
