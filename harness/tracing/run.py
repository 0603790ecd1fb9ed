"""Trace: one differentiable run of the model, shared by every method."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import check
from harness.tables import NO_GOLD
from harness.tracing import reruns
from harness.tracing.batch import Batch
from harness.tracing.calls import called, exclusive_classes
from harness.tracing.guards import REMEDY, check_attentions, finite, lacking
from harness.tracing.layer import LayerRun
from harness.tracing.layer_runs import layer_runs
from harness.tracing.meter import Made, made_once, metered, uncounted
from harness.tracing.prefix import Prefix, empty_cache, prefix_of
from harness.tracing.states import last_output, last_state, word_embedding
from harness.tracing.steps import Side, Sides, Step, by_layer, layer_steps, reading

OUTPUTS = ("probability", "logit", "difference", "logit_difference")
READ_OUTS = ("head", "row", "max", "mean", "sum")
TARGETS = ("predicted", "gold")
REMOVALS = ("unk", "mask", "pad", "delete", "ignore", "swap", "zero")
NEGLIGIBLE = 1e-6  # of what the head reads


class Trace:
    """One run of the model on a batch, with gradients.

    All tensors on the graph are created in the constructor: what is computed from them later is the same in any order
    and in any grad mode.

    Args:
        model: in eval mode, with eager attention, called as transformers models are.
        batch: the examples.
        target: the class that is explained: `predicted` (on the unchanged input), `gold`, the index of a class, or a
            tensor `[batch]` with an index for each example.
        output: its scalar: `probability`, `logit`, `difference` (its probability minus that of the strongest other
            class), or `logit_difference` (the same with logits).
        token_budget: tokens in one re-run, at most.
        causal: whether the model's queries see only earlier keys, which is checked; None for what the model declares.
        padded: whether inputs of different lengths may run together; not where a model's numbers depend on padding.
        embedding: `[batch, token, hidden]`, replaces the word embedding's output; see `moved`.
        removal: how methods remove a token that do not say how, see `REMOVALS`.

    Attributes:
        logits: `[batch, class]`.
        steps: how the model mixes tokens; a step is a layer, but for an encoder-decoder.
        attention: `[batch, step, head, query, key]`, zero in the rows and columns of padding, and, in an
            encoder-decoder, of tokens that do not read, or are not read, in the step.
        hidden: `[batch, layer + 1, token, hidden]`; 0 is the first layer's input. In an encoder-decoder the layers are
            the decoder's, and the source has its encoder's output throughout.
        exclusive: whether the classes exclude each other, so that probabilities are a softmax; otherwise each class is
            a question of its own, and its probability a sigmoid.
        states: the hidden states, on the graph: the first layer's input, and each layer's output, the last one's
            before a norm that follows it (where the layers can be found).
        lacks: why the model has no attention weights; None where it has them.
        embedding: `[batch, token, hidden]`, the word embedding's output, a leaf of the graph.
        target: `[batch]`, the explained class.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: Batch,
        target: str | int | Tensor = "predicted",
        output: str = "difference",
        token_budget: int = 8192,
        causal: bool | None = None,
        embedding: Tensor | None = None,
        padded: bool = True,
        removal: str = "unk",
    ):
        if not isinstance(target, int | Tensor):
            check.choice("target", target, TARGETS)
        check.choice("output", output, OUTPUTS)
        if model.training:
            raise ValueError(
                "the model is in train mode, where dropout makes every run different: call model.eval() first"
            )
        self.model, self.batch, self.kind, self.token_budget = model, batch, output, token_budget
        self.causal = bool(getattr(model, "causal", False)) if causal is None else causal
        self.moves_embedding, self.padded, self.removal = embedding is not None, padded, removal
        self.exclusive = exclusive_classes(model)
        leaf = None if embedding is None else embedding.detach().requires_grad_(True)
        with (
            torch.enable_grad(),
            word_embedding(model, leaf) as seen,
            last_state(model) as last,
            last_output(model) as own,
        ):
            self._cache = empty_cache(model) if embedding is None else None
            more: dict[str, object] = {} if self._cache is None else {"past_key_values": self._cache, "use_cache": True}
            result = called(model, batch.inputs, output_attentions=True, output_hidden_states=True, **more)
        if not hasattr(result, "logits"):
            raise ValueError(
                f"{type(model).__name__} returns no logits, as it is a model without a head: load it with one, such as "
                "AutoModelForSequenceClassification"
            )
        if len(seen) != 1:
            raise ValueError(
                f"the model called its word embedding {len(seen)} times in one run; expected once, "
                "because gradients are taken at that one place"
            )
        self.embedding = seen[0]  # [batch, token, hidden]
        if self.embedding.shape[:2] != batch.input_ids.shape:
            raise ValueError(
                f"{type(model).__name__} embeds {self.embedding.shape[1]} tokens where the text has "
                f"{batch.input_ids.shape[1]}, as it pads texts itself, so gradients do not fall on the text's tokens: "
                "choose another model"
            )
        self.logits = finite(result.logits.detach())  # [batch, class]
        self._live_logits: Tensor = result.logits
        self._attentions: tuple[Tensor, ...] = getattr(result, "attentions", None) or ()
        self.sides = Sides(batch.inputs["side"]) if "side" in batch.inputs else None
        self.lacks = lacking(model, self._attentions, batch)
        real = batch.attention_mask.bool()
        self._padded_pairs = ~(real[:, :, None] & real[:, None, :])[:, None, None]  # [batch, 1, 1, query, key]
        self.states: tuple[Tensor, ...] = result.hidden_states
        self.steps: tuple[Step, ...] = getattr(model, "steps", None) or layer_steps(
            len(self._attentions) or len(self.states) - 1, self.causal
        )
        if self.lacks is None:
            check_attentions(self._attentions, self.steps, batch)
        self._attention: Tensor | None = None  # stacked when it is first asked for
        if own and own[-1].shape == self.states[0].shape:  # the model's own last state is its final norm's
            self.states = (*self.states[:-1], own[-1])
        self._first_states: tuple[Tensor, ...] = getattr(result, "first_states", (self.states[0],))
        self._step_inputs: tuple[Tensor | None, ...] = getattr(result, "step_inputs", self.states[:-1])
        memory = getattr(result, "memory", None)
        self._memory: Tensor | None = None if memory is None else memory.detach()
        self._last_state = last[0] if last else result.hidden_states[-1]
        self.by_position = False  # whether the explained position's row is read, whatever the head reads
        self._made: dict[Callable[[Trace], Any], Any] = {}
        self.target = self._class(target)  # [batch]
        self.rival = self.logits.scatter(1, self.target[:, None], -torch.inf).argmax(dim=1)  # [batch]

    @property
    def layers(self) -> int:
        """The number of the model's layers."""
        return len(self.states) - 1

    @property
    def attention(self) -> Tensor:
        """`[batch, step, head, query, key]`; ValueError for a model without attention weights."""
        if self.lacks is not None:
            raise ValueError(self.lacks)
        if self._attention is None:
            self._attention = self._stacked([one.detach() for one in self._attentions])
        return self._attention

    @attention.setter
    def attention(self, attention: Tensor) -> None:
        self._attention = attention

    def _stacked(self, weights: Sequence[Tensor]) -> Tensor:
        """Each step's `[batch, head, query, key]`, as `attention`."""
        if self.sides is None:
            return torch.stack(list(weights), dim=1).masked_fill(self._padded_pairs, 0.0)
        heads = list(dict.fromkeys(one.shape[1] for one in weights))
        if len(heads) > 1:
            raise ValueError(f"it reads heads one by one, and encoder and decoder differ in theirs: {heads}")
        pairs = zip(weights, self.steps, strict=True)
        return torch.stack([self.sides.square(one, step) for one, step in pairs], dim=1)

    def attention_steps(self) -> Iterator[Tensor]:
        """Each step's attention, `[batch, head, query, key]`: as `attention`, without holding all steps' at once."""
        if self._attention is not None or self.lacks is not None:
            yield from self.attention.unbind(dim=1)
            return
        for one, step in zip(self._attentions, self.steps, strict=True):
            if self.sides is None:
                yield one.detach().masked_fill(self._padded_pairs[:, 0], 0.0)
            else:
                yield self.sides.square(one.detach(), step)

    @cached_property
    def reads(self) -> Tensor:
        """Tokens that a step changes, `[batch, step, token]`; the others stay what they are."""
        return torch.stack([reading(self.batch.side, step.queries) for step in self.steps], dim=1)

    @cached_property
    def visible(self) -> Tensor:
        """Which keys each query can see in a step, `[batch, step, query, key]`; none for what does not read."""
        real = torch.stack([reading(self.batch.side, step.keys) for step in self.steps], dim=1)
        pairs = self.reads[..., :, None] & real[..., None, :]
        causal = torch.tensor([step.causal for step in self.steps], device=pairs.device)[:, None, None]
        return pairs & (~causal | torch.ones_like(pairs[0, 0]).tril())

    @cached_property
    def hidden(self) -> Tensor:
        """`[batch, layer + 1, token, hidden]`; ValueError where a layer's states are not one for each token."""
        shapes = {tuple(state.shape) for state in self.states}
        if len(shapes) > 1:
            raise ValueError("it reads the state of each token in each layer, and this model has fewer states in some")
        return torch.stack([state.detach() for state in self.states], dim=1)

    @property
    def position(self) -> Tensor:
        """The one position that is explained, `[batch]`; ValueError where the head reads several."""
        if not self.by_position and self.head_weights is not None:
            raise ValueError("it follows the state of one token, and this model's head reads the states of several")
        return self.batch.position

    @metered
    def head_weights(self) -> Tensor | None:
        """Each position's share in what the head reads, `[batch, token]`; None where that is one position.

        That is the norm of the logits' gradient with respect to the position's last state, over the norms' sum. None as
        well where the last states cannot be found on the way to the logits.
        """
        state = self._last_state
        if tuple(state.shape[:2]) != tuple(self.batch.input_ids.shape):
            return None
        squares = torch.zeros(state.shape[:2], dtype=torch.float64, device=state.device)
        with torch.enable_grad(), uncounted():
            for logits in self._live_logits.unbind(dim=1):
                if not logits.requires_grad:
                    return None
                (gradient,) = torch.autograd.grad(logits.sum(), state, retain_graph=True, allow_unused=True)
                if gradient is None:
                    return None
                squares += gradient.detach().double().square().sum(dim=-1)
        norms = squares.sqrt().masked_fill(~self.batch.attention_mask.bool(), 0.0)
        weights = norms / norms.sum(dim=1, keepdim=True)
        return None if ((weights > NEGLIGIBLE).sum(dim=1) <= 1).all() else weights

    @property
    def predicted(self) -> Tensor:
        """The class with the highest logit, `[batch]`."""
        return self.logits.argmax(dim=1)

    @property
    def gold(self) -> Tensor:
        """The right class, `[batch]`; ValueError where the data do not say."""
        if (self.batch.gold == NO_GOLD).any():
            raise ValueError(
                "the data do not give the right class of every example: explain the predicted class or a given one, "
                "target=predicted or target=<class>, and set blank_class=target"
            )
        return self.batch.gold

    def _class(self, target: str | int | Tensor) -> Tensor:
        if isinstance(target, str):
            return self.gold if target == "gold" else self.predicted
        classes, examples = self.logits.shape[1], len(self.batch.examples)
        chosen = torch.as_tensor(target, device=self.logits.device)
        if chosen.dtype != torch.long or chosen.shape not in ((), (examples,)):
            raise ValueError(
                f"target is a class, or one for each of the {examples} examples as a tensor of int64, "
                f"got {chosen.dtype} of shape {tuple(chosen.shape)}"
            )
        for wrong in chosen[(chosen < 0) | (chosen >= classes)].tolist():
            raise ValueError(f"the model has {classes} classes, so target is one of 0 to {classes - 1}, got {wrong}")
        return chosen.expand(examples).clone()

    def output(self, logits: Tensor, index: Tensor | None = None, kind: str | None = None) -> Tensor:
        """The explained scalar of each row of logits, `[variant, class] -> [variant]`, in float64.

        `index` says which example each row belongs to; without it, rows are the batch's examples in order. The
        softmax is taken in float64, since a confident model's probabilities differ only beyond float32's last digit.
        """
        target = self.target if index is None else self.target[index]
        rival = self.rival if index is None else self.rival[index]
        kind = self.kind if kind is None else kind
        if not self.exclusive:  # each class against its own absence, whose logit is 0
            chosen = logits.double().gather(1, target[:, None])[:, 0]
            if kind.startswith("logit"):
                return chosen
            return chosen.sigmoid() - (-chosen).sigmoid() if kind == "difference" else chosen.sigmoid()
        values = logits.double() if kind.startswith("logit") else self.probabilities(logits)
        chosen = values.gather(1, target[:, None])[:, 0]
        return chosen - values.gather(1, rival[:, None])[:, 0] if kind.endswith("difference") else chosen

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of each class, `[..., class]`, in float64: they sum to 1 where classes exclude each other."""
        logits = logits.double()
        return logits.softmax(dim=-1) if self.exclusive else logits.sigmoid()

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """The logarithms of `probabilities`."""
        logits = logits.double()
        return logits.log_softmax(dim=-1) if self.exclusive else functional.logsigmoid(logits)

    @metered
    def gradient(self) -> Tensor:
        """The output's gradient with respect to the word embedding's output, `[batch, token, hidden]`."""
        return self._gradient_at([self.embedding])[0]

    @metered
    def first_layer_gradient(self) -> Tensor:
        """The output's gradient with respect to the first layer's input, `[batch, token, hidden]`.

        That is word and position embeddings together, after the LayerNorm if the model has one there.
        """
        gradients = self._gradient_at(self._first_states)
        return gradients[0] if self.sides is None else self.sides.together(*gradients)

    @metered
    def attention_gradient(self) -> Tensor:
        """The output's gradient with respect to each attention weight, `[batch, step, head, query, key]`."""
        if self.lacks is not None:
            raise ValueError(self.lacks)
        try:
            gradients = self._gradient_at(self._attentions)
        except RuntimeError as error:
            raise ValueError(
                f"the model's output does not come from the attention that it returned ({error}); {REMEDY}"
            ) from error
        return self._stacked(gradients)

    @metered
    def layer_runs(self) -> tuple[LayerRun, ...]:
        """What each step's layer computes between its input and its output, without gradients.

        ValueError for a model type that is not known, or whose layers compute something else.
        """
        return layer_runs(
            self.model, self._step_inputs, self.states[-1], self.attention_steps(), self.steps, self.batch
        )

    @metered
    def by_logit(self) -> "Trace":
        """The same run of the model, explained by the logit of the same class."""
        other = copy.copy(self)
        other.kind = "logit"
        other.forget()
        return other

    def once(self, make: Callable[["Trace"], Made]) -> Made:
        """The result of a function of this trace, kept for the next method that asks for the same function."""
        return made_once(self._made, make, lambda: make(self))

    def forget(self) -> None:
        """Drop what was computed from the run, so that it is computed again when needed."""
        self._made = {}
        for name in [name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)]:
            del self.__dict__[name]

    def _gradient_at(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            return torch.autograd.grad(self.output(self._live_logits).sum(), tensors, retain_graph=True)

    def read_out(self, mixing: Tensor, how: str = "head") -> Tensor:
        """`[batch, layer, (head,) query, key] -> [batch, layer, (head,) key]`.

        `row` takes the explained position's row. `head` takes what the model's head reads: that row, or the mean of all
        rows by `head_weights` where it reads several. `max`, `mean` and `sum` reduce over all queries of the example,
        in an encoder-decoder those of the prefix.

        Maps of each step, as `attention` is, become one row for each layer: in an encoder-decoder what the layer's
        cross-attention reads from the source, and its self-attention from the prefix.
        """
        check.choice("read_out", how, READ_OUTS)
        rows = self._rows(mixing, how)
        of_layers = self.sides is None or rows.shape[1] != len(self.steps)  # there are always more steps than layers
        return rows if of_layers else by_layer(rows, self.steps, self.batch.side)

    def _rows(self, mixing: Tensor, how: str) -> Tensor:
        shape = [mixing.shape[0], *[1] * (mixing.dim() - 3)]
        if how == "head":
            weights = None if self.by_position else self.head_weights
            if weights is not None:
                return (mixing * weights.to(mixing.dtype).view(*shape, -1, 1)).sum(dim=-2)
            how = "row"
        if how == "row":
            index = self.batch.position.view(*shape, 1, 1).expand(*mixing.shape[:-2], 1, mixing.shape[-1])
            return mixing.gather(-2, index).squeeze(-2)
        queries = self.batch.attention_mask.bool() & (self.batch.side == Side.TARGET)
        real = queries.view(*shape, -1, 1)  # [batch, 1.., query, 1]
        if how == "max":
            return mixing.masked_fill(~real, -torch.inf).amax(dim=-2)
        total = mixing.masked_fill(~real, 0.0).sum(dim=-2)
        return total / real.sum(dim=-2) if how == "mean" else total

    def ends(self, maps: Iterable[Tensor]) -> Tensor:
        """Of maps made after each step, `[batch, ...]`, those at the end of each layer, `[batch, layer, ...]`."""
        pairs = zip(maps, self.steps, strict=True)
        return torch.stack([one for one, step in pairs if step.closes], dim=1)

    def rerun(self, inputs: Mapping[str, Tensor], example: Tensor | None = None, since: Tensor | None = None) -> Tensor:
        """Logits of changed inputs (`Batch.at`), `[variant, class]`, without gradients, in chunks of similar length.

        `example` says which example each variant belongs to, and `since` which token is its first that differs from
        that example, `[variant]` each: in a causal model only what comes from there on is computed.
        """
        if self.moves_embedding:
            raise ValueError(
                "this trace runs on a changed word embedding, which a re-run on token ids would ignore: "
                "choose a method that does not re-run the model"
            )
        if not len(inputs["input_ids"]):
            return self.logits.new_empty(0, self.logits.shape[1])
        prefix = None if example is None or since is None else self._prefix
        if prefix is not None and example is not None and since is not None:
            return finite(reruns.continued(self.model, prefix, inputs, example, since, self.token_budget))
        return finite(reruns.whole(self.model, inputs, self.token_budget, self.padded))

    @metered
    def _prefix(self) -> Prefix | None:
        """What re-runs of a model that writes text start from."""
        return prefix_of(self.model, self.batch.inputs, self.logits, self._cache, self._memory) if self.padded else None

    def forward_from(self, embedding: Tensor, index: Tensor) -> Tensor:
        """Output `[variant]` from word-embedding outputs `[variant, token, hidden]`; differentiable.

        `index` says which example of the batch each variant belongs to. This is the forward function for Captum.
        """
        return self.output(self.logits_from(embedding, index), index)

    def logits_from(self, embedding: Tensor, index: Tensor) -> Tensor:
        """Logits `[variant, class]` from word-embedding outputs, as in `forward_from`; differentiable."""
        with word_embedding(self.model, embedding):
            return called(self.model, self.batch.at(index)).logits

    def moved(self, embedding: Tensor) -> "Trace":
        """The same examples and the same explained classes on another word embedding, `[batch, token, hidden]`."""
        moved = Trace(
            *(self.model, self.batch, self.target, self.kind, self.token_budget, self.causal, embedding),
            padded=self.padded,
            removal=self.removal,
        )
        moved.rival, moved.by_position, moved.steps = self.rival, self.by_position, self.steps
        return moved

    def on(self, model: nn.Module) -> "Trace":
        """The same examples and the same explained classes on another model, e.g. a re-initialised copy."""
        other = Trace(
            *(model, self.batch, self.target, self.kind, self.token_budget, self.causal),
            padded=self.padded,
            removal=self.removal,
        )
        other.rival = self.rival  # the same difference of classes, whichever class the other model finds strong
        other.by_position, other.steps = self.by_position, self.steps
        return other

    def word_vector(self, token_id: int) -> Tensor:
        """The word embedding's output for a token, `[hidden]`; of an encoder-decoder on each token's side,
        `[batch, token, hidden]`.
        """
        embedding: Any = self.model.get_input_embeddings()  # pyright: ignore[reportCallIssue]
        with torch.no_grad():
            if self.sides is not None:
                return embedding(torch.full_like(self.sides.side, token_id), self.sides.side)
            return embedding(torch.tensor([token_id], device=self.embedding.device))[0]
