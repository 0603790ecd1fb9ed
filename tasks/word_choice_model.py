"""A language model as a classifier that chooses between a few words at one token: a masked word or the next one."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutputWithPast

from harness.tracing.architecture import Architecture
from harness.tracing.architectures import one_architecture_of
from harness.tracing.calls import called


class WordChoiceModel(nn.Module):
    """The logits of each example's candidate words at its explained position.

    Args:
        inner: a transformers model with a language-model head, `...ForMaskedLM` or `...ForCausalLM`.
        causal: whether it predicts the next word, from the tokens up to the explained position.
    """

    exclusive_classes = True

    def __init__(self, inner: nn.Module, causal: bool = False):
        super().__init__()
        self.inner, self.causal = inner, causal
        self.training = inner.training  # a new module starts in train mode, even if nothing below it is

    @property
    def config(self) -> Any:
        """Configuration of the inner model."""
        return self.inner.config

    @property
    def architecture(self) -> Architecture:
        """Architecture of the inner model; ValueError where its type is not known."""
        return one_architecture_of(self.inner).inside("inner")

    @property
    def base_model(self) -> nn.Module:
        """The inner model without its head."""
        body: Any = self.inner.base_model
        # Gemma 3 in transformers 4 calls its body by another name than the one it is found by
        return self.inner.model if body is self.inner and hasattr(body, "model") else body  # pyright: ignore[reportReturnType]

    def get_input_embeddings(self) -> nn.Module:
        """The word embedding."""
        return self.inner.get_input_embeddings()  # pyright: ignore[reportCallIssue]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position: Tensor,
        candidates: Tensor,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        **more: Any,
    ) -> SequenceClassifierOutputWithPast:
        """Logits `[batch, class]`, with the hidden states and attentions of all tokens where requested.

        Args:
            input_ids: `[batch, token]`.
            attention_mask: `[batch, token]`; of a causal model that continues a prefix, `[batch, prefix + token]`.
            position: `[batch]`, the token at which the word is chosen.
            candidates: `[batch, class]`, vocabulary ids.
            output_attentions: whether to return them.
            output_hidden_states: whether to return them.
            more: what else the inner model takes, e.g. `token_type_ids`, or a causal model's `past_key_values`.
        """
        rows = torch.arange(len(position), device=position.device)

        # Vocabulary logits are some 40 times as large as a hidden state: the head runs on the explained token alone.
        def keep_position(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            return type(output)(**{**output, "last_hidden_state": output.last_hidden_state[rows, position][:, None]})

        def pass_position(_module: nn.Module, inputs: Any) -> Any:
            return (inputs[0][rows, position][:, None],)

        if self.causal:
            more.setdefault("use_cache", False)
            if "position_ids" not in more:  # OPT would count them by the mask, and a masked token move all later ones
                more["position_ids"] = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
            # OPT's head calls the inside of its body, which no hook of the body sees
            vocabulary: Any = self.inner.get_output_embeddings()  # pyright: ignore[reportCallIssue]
            handle = vocabulary.register_forward_pre_hook(pass_position)
        else:
            handle = self.base_model.register_forward_hook(keep_position)
        try:
            output = called(
                self.inner,
                {"input_ids": input_ids, "attention_mask": attention_mask, **more},
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
                return_dict=True,
            )
        finally:
            handle.remove()
        logits = output.logits[:, 0].gather(1, candidates)  # [batch, class]
        return SequenceClassifierOutputWithPast(
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
            past_key_values=getattr(output, "past_key_values", None),
        )
