"""An encoder-decoder as a classifier that chooses the target's next word, with source and prefix on one axis."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from harness.tracing.architecture import EncoderDecoder
from harness.tracing.architectures import architecture_of
from harness.tracing.calls import called
from harness.tracing.steps import Side, Sides, Step, encoder_decoder_steps


@dataclass
class TargetWordOutput:
    """What a run gives; joint tensors have the source's tokens and then the prefix's, as the input has.

    Attributes:
        logits: `[batch, class]`.
        hidden_states: `[batch, token, hidden]`: first the inputs of both stacks, then after each decoder layer, its own
            output before a norm that follows; the source's states are the encoder's output throughout.
        attentions: of each step, `[batch, head, query, key]`, each side by itself, as the model computed it.
        step_inputs: what each step reads, `[batch, token, hidden]`; None where the model does not return it.
        first_states: the inputs of encoder and decoder, each by itself.
        memory: the encoder's output, `[batch, slot, hidden]`.
        past_key_values: of the decoder, where they were asked for.
    """

    logits: Tensor
    hidden_states: tuple[Tensor, ...] = ()
    attentions: tuple[Tensor, ...] = ()
    step_inputs: tuple[Tensor | None, ...] = ()
    first_states: tuple[Tensor, ...] = ()
    memory: Tensor | None = None
    past_key_values: Any = None


class TargetWordModel(nn.Module):
    """The logits of each example's candidates for the target's next token.

    Args:
        inner: a transformers model of a class `...ForConditionalGeneration`, or the like.
    """

    exclusive_classes = True

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner
        self.embedding = TwoSidedEmbedding(self._stack(Side.SOURCE).embed_tokens, self._stack(Side.TARGET).embed_tokens)
        self.train(inner.training)  # a new module starts in train mode, even if nothing below it is

    @property
    def config(self) -> Any:
        """Configuration of the inner model."""
        return self.inner.config

    @property
    def architecture(self) -> EncoderDecoder:
        """Architecture of the inner model; ValueError where its type is not known."""
        found = architecture_of(self.inner)
        assert isinstance(found, EncoderDecoder)
        return found.inside("inner")

    @property
    def base_model(self) -> nn.Module:
        """The inner model without its head."""
        return self.inner.base_model  # pyright: ignore[reportReturnType]

    @property
    def steps(self) -> tuple[Step, ...]:
        """How it mixes tokens."""
        return encoder_decoder_steps(*(len(self._layers(side)) for side in (Side.SOURCE, Side.TARGET)))

    def get_input_embeddings(self) -> nn.Module:
        """The word embeddings of both sides."""
        return self.embedding

    def _stack(self, side: Side) -> Any:
        inner: Any = self.inner
        return inner.get_encoder() if side == Side.SOURCE else inner.get_decoder()

    def _layers(self, side: Side) -> Sequence[nn.Module]:
        stack = self._stack(side)
        return stack.layers if hasattr(stack, "layers") else stack.block  # T5 calls them blocks

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        side: Tensor,
        position: Tensor,
        candidates: Tensor,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        memory: Tensor | None = None,
        past_key_values: Any = None,
        start: int = 0,
    ) -> TargetWordOutput:
        """Logits `[batch, class]`, with what the steps read and their attention where requested.

        Args:
            input_ids: `[batch, token]`, the source's and then the prefix's.
            attention_mask: `[batch, token]`; a token that is masked within its side is seen by no other.
            side: a `Side` of each token, `[batch, token]`.
            position: `[batch]`, the token of the prefix after which the next is chosen.
            candidates: `[batch, class]`, ids of the target's vocabulary.
            output_attentions: whether to return them.
            output_hidden_states: whether to return them.
            memory: the encoder's output, `[batch, slot, hidden]`, where it is known from another run; without it no
                states and no attentions are returned.
            past_key_values: of the prefix's first `start` tokens, and what the decoder makes of `memory`.
            start: how many tokens of every prefix those are.
        """
        sides = Sides(side)
        embedding = self.embedding(input_ids, side)
        source_mask, target_mask = (sides.apart(attention_mask, one) for one in (Side.SOURCE, Side.TARGET))
        asked = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        encoded = None
        if memory is None:
            with torch.random.fork_rng(devices=[]), self._embedded(Side.SOURCE, sides.apart(embedding, Side.SOURCE)):
                source = {"input_ids": self._ids(input_ids, sides, Side.SOURCE), "attention_mask": source_mask}
                encoded = called(self._stack(Side.SOURCE), source, **asked, return_dict=True)
            memory = encoded.last_hidden_state
        assert memory is not None
        target = self._ids(input_ids, sides, Side.TARGET)
        places = position - sides.source_length - start
        rows = torch.arange(len(places), device=places.device)
        own: list[Tensor] = []

        def pass_position(_module: nn.Module, inputs: Any) -> Any:  # the head runs on the explained token alone
            return (inputs[0][rows, places][:, None],)

        def keep_output(_module: nn.Module, _inputs: Any, output: Any) -> None:
            own.append(output[0] if isinstance(output, tuple) else output)

        vocabulary: Any = self.inner.get_output_embeddings()  # pyright: ignore[reportCallIssue]
        with ExitStack() as hooks:
            hooks.enter_context(torch.random.fork_rng(devices=[]))  # M2M100 of transformers 4 draws for dropped layers
            hooks.enter_context(self._embedded(Side.TARGET, sides.apart(embedding, Side.TARGET)[:, start:]))
            hooks.callback(vocabulary.register_forward_pre_hook(pass_position).remove)
            hooks.callback(self._layers(Side.TARGET)[-1].register_forward_hook(keep_output).remove)
            more = {} if past_key_values is None else {"past_key_values": past_key_values}
            output = self.inner(
                encoder_outputs=BaseModelOutput(last_hidden_state=memory),
                attention_mask=source_mask,
                decoder_input_ids=target[:, start:],
                decoder_attention_mask=target_mask,
                use_cache=past_key_values is not None,
                return_dict=True,
                **asked,
                **more,
            )
        logits = output.logits[:, 0].gather(1, candidates)  # [batch, class]
        result = TargetWordOutput(logits, memory=memory, past_key_values=output.past_key_values)
        if encoded is not None and output_hidden_states:
            self._add_states(result, sides, encoded, output, own[0])
        if encoded is not None and output_attentions and output.cross_attentions:
            pairs = zip(output.decoder_attentions, output.cross_attentions, strict=True)
            result.attentions = (*encoded.attentions, *(one for pair in pairs for one in pair))
        return result

    def _add_states(self, result: TargetWordOutput, sides: Sides, encoded: Any, decoded: Any, last: Tensor) -> None:
        memory, below = result.memory, decoded.decoder_hidden_states
        assert memory is not None
        above = [*below[1:-1], last]  # the model's own last state is behind its final norm
        after = [sides.together(memory, state) for state in above]
        encoder = [sides.together(state, below[0]) for state in encoded.hidden_states[:-1]]
        first = sides.together(memory, below[0])
        result.hidden_states = (encoder[0], *after)
        result.first_states = (encoded.hidden_states[0], below[0])
        decoder = [one for state in [first, *after[:-1]] for one in (state, None)]
        result.step_inputs = (*encoder, *decoder)

    def _ids(self, input_ids: Tensor, sides: Sides, side: Side) -> Tensor:
        padding = self.config.pad_token_id or 0
        return sides.apart(input_ids, side, padding)

    @contextmanager
    def _embedded(self, side: Side, embedding: Tensor) -> Iterator[None]:
        """The word embedding of a stack gives `embedding`, whatever the ids."""
        module = self._stack(side).embed_tokens
        handle = module.register_forward_hook(lambda _module, _inputs, _output: embedding)
        try:
            yield
        finally:
            handle.remove()


class TwoSidedEmbedding(nn.Module):
    """The word embeddings of encoder and decoder, which may be one."""

    def __init__(self, source: nn.Module, target: nn.Module):
        super().__init__()
        self.source, self.target = source, target

    def forward(self, input_ids: Tensor, side: Tensor) -> Tensor:
        """`[batch, token]`, a `Side` for each, `-> [batch, token, hidden]`."""
        target = side == Side.TARGET
        tables = self.source(input_ids.masked_fill(target, 0)), self.target(input_ids.masked_fill(~target, 0))
        return torch.where(target[..., None], tables[1], tables[0])
