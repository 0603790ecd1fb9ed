"""Small GPT-2 and Llama models, as transformers has them, trained to choose a word after the last token."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.modeling_outputs import SequenceClassifierOutputWithPast

from harness import check
from tasks.word_choice_model import WordChoiceModel

KINDS = ("gpt2", "llama")


@dataclass(frozen=True)
class DecoderSizes:
    """What a small decoder is built from.

    A Llama has half as many heads for keys and values, 8/3 as many inner dimensions as hidden ones, and of the three
    dropouts only the attention's.
    """

    kind: str
    vocabulary: int
    positions: int = 64
    layers: int = 6
    heads: int = 8
    hidden: int = 128
    residual_dropout: float = 0.0
    embedding_dropout: float = 0.0
    attention_dropout: float = 0.0
    initializer_range: float = 0.02

    def __post_init__(self):
        check.choice("kind", self.kind, KINDS)
        if self.kind == "llama" and (self.residual_dropout or self.embedding_dropout):
            raise ValueError("a Llama has no residual_dropout and no embedding_dropout: set both to 0")


def small_decoder(sizes: DecoderSizes) -> WordChoiceModel:
    """A new model, its output embedding untied from its input embedding: the words it chooses may never be read."""
    options = {
        "vocab_size": sizes.vocabulary,
        "initializer_range": sizes.initializer_range,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": None,
        "attn_implementation": "eager",
    }
    if sizes.kind == "gpt2":
        config = GPT2Config(
            n_positions=sizes.positions,
            n_embd=sizes.hidden,
            n_layer=sizes.layers,
            n_head=sizes.heads,
            resid_pdrop=sizes.residual_dropout,
            embd_pdrop=sizes.embedding_dropout,
            attn_pdrop=sizes.attention_dropout,
            activation_function="gelu_pytorch_tanh",  # the same function as gelu_new, in one kernel
            **options,
        )
        return WordChoiceModel(GPT2LMHeadModel(config), causal=True)
    config = LlamaConfig(
        max_position_embeddings=sizes.positions,
        hidden_size=sizes.hidden,
        intermediate_size=-(-8 * sizes.hidden // 24) * 8,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=max(1, sizes.heads // 2) if sizes.heads % 2 == 0 else sizes.heads,
        attention_dropout=sizes.attention_dropout,
        **options,
    )
    return WordChoiceModel(LlamaForCausalLM(config), causal=True)


class AtTheEnd(nn.Module):
    """A decoder as training calls it: the logits of the same candidates after the last token of every text."""

    def __init__(self, model: WordChoiceModel, candidates: Sequence[int]):
        super().__init__()
        self.model, self.candidates = model, candidates

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool = False
    ) -> SequenceClassifierOutputWithPast:
        """Logits `[batch, candidate]` from ids and mask `[batch, token]`."""
        position = attention_mask.sum(dim=1) - 1
        candidates = torch.tensor(self.candidates).expand(len(input_ids), -1)
        return self.model(input_ids, attention_mask, position, candidates, output_hidden_states=output_hidden_states)
