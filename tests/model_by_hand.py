"""The real checkpoints reimplemented from their weights: one sentence and one head at a time, with every step kept.

Backward propagation is written out as relevance, not as gradients, and uses nothing from `methods`.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from tests.real_model import SST2, parts, real_model


@dataclass
class Step:
    """One layer's states for one sentence."""

    state: Tensor  # [token, hidden]
    queries: list[Tensor] = field(default_factory=list)  # [token, size] per head, as are the next two
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)  # before the softmax, [query, key] per head
    attention: list[Tensor] = field(default_factory=list)
    mixed: list[Tensor] = field(default_factory=list)  # [token, size] per head
    attended: Any = None
    middle: Any = None
    inner: Any = None
    outer: Any = None
    output: Any = None


class ModelByHand:
    """One sentence through one checkpoint, in float64."""

    def __init__(self, name: str, index: int):
        module, batch = real_model(name, torch.float64)
        self.name, self.module, self.index = name, module, index
        n = int(batch.length[index])
        self.ids = batch.input_ids[index, :n]
        self.position = int(batch.position[index])
        self.target = int(module(**batch.inputs).logits.argmax(dim=1)[index])
        self.parts: list[Any] = parts(name, module)
        body: Any = module
        body = body.distilbert if name == SST2 else body.base_model
        self.embeddings = body.embeddings
        blocks = body.transformer.layer if name == SST2 else body.encoder.layer
        self.projections = [
            (one.attention.q_lin, one.attention.k_lin)
            if name == SST2
            else (one.attention.self.query, one.attention.self.key)
            for one in blocks
        ]
        self.candidates = None if name == SST2 else batch.inputs["candidates"][index]
        self.heads = 12
        self.words = self.embeddings.word_embeddings.weight[self.ids]

    @property
    def head(self) -> list[Any]:
        """From the explained token's last state to the logits."""
        module: Any = self.module
        if self.name == SST2:
            return [module.pre_classifier, torch.relu, module.classifier]
        transform = module.inner.cls.predictions.transform
        decoder = module.inner.cls.predictions.decoder
        last = nn.Linear(1, 1)
        last.weight = nn.Parameter(decoder.weight[self.candidates], requires_grad=False)
        last.bias = nn.Parameter(decoder.bias[self.candidates], requires_grad=False)
        return [transform.dense, nn.functional.gelu, transform.LayerNorm, last]

    def positions(self) -> Tensor:
        """What is added to the words before the first LayerNorm."""
        added = self.embeddings.position_embeddings.weight[: len(self.ids)]
        return added if self.name == SST2 else added + self.embeddings.token_type_embeddings.weight[0]

    def run(self, words: Tensor | None = None, scale: dict[int, float] | None = None) -> Tensor:
        """Logits; `scale` multiplies a layer's attention."""
        self.steps: list[Step] = []
        self.summed = (self.words if words is None else words) + self.positions()
        state = self.embeddings.LayerNorm(self.summed)
        for number, (part, (query, key)) in enumerate(zip(self.parts, self.projections, strict=True)):
            step = Step(state)
            size = state.shape[1] // self.heads
            for head in range(self.heads):
                own = slice(head * size, (head + 1) * size)
                q, k, v = (state @ linear.weight[own].T + linear.bias[own] for linear in (query, key, part.value))
                scores = q @ k.T / size**0.5
                attention = scores.softmax(dim=1) * (scale or {}).get(number, 1.0)
                for kept, value in zip(
                    (step.queries, step.keys, step.values, step.scores, step.attention, step.mixed),
                    (q, k, v, scores, attention, attention @ v),
                    strict=True,
                ):
                    kept.append(value)
            step.attended = part.projection(torch.cat(step.mixed, dim=1))
            step.middle = part.first_norm(step.attended + state)
            step.inner = part.inner(step.middle)
            step.outer = part.outer(nn.functional.gelu(step.inner))
            state = step.output = part.second_norm(step.outer + step.middle)
            self.steps.append(step)
        self.trail = [state[self.position]]
        for piece in self.head:
            self.trail.append(piece(self.trail[-1]))
        return self.trail[-1]

    def attention_gradients(self, scalar: Tensor) -> list[list[Tensor]]:
        """Gradients of a scalar for each layer and head, `[query, key]`."""
        flat = torch.autograd.grad(scalar, [head for step in self.steps for head in step.attention], allow_unused=True)
        return [list(flat[start : start + self.heads]) for start in range(0, len(flat), self.heads)]


def linear_by_hand(linear: Any, inputs: Tensor, relevance: Tensor, positive: bool) -> tuple[Tensor, float]:
    """Relevance of one token's inputs, and what the bias keeps: by shares of x * w, or only of the positive ones."""
    if positive:
        terms = (linear.weight * inputs).clamp(min=0)  # [out, in]
        total = terms.sum(dim=1)
        return torch.where(total == 0, 0.0, relevance / total) @ terms, 0.0
    shares = relevance / linear(inputs)
    return shares @ linear.weight * inputs, (linear.bias * shares).sum().item()


def norm_by_hand(norm: Any, inputs: Tensor, relevance: Tensor) -> tuple[Tensor, float]:
    """Each input's coefficient in one token's LayerNorm, with its deviation held constant; and what the bias keeps."""
    scale = norm.weight / (inputs.var(unbiased=False) + norm.eps).sqrt()
    shares = relevance / (scale * (inputs - inputs.mean()) + norm.bias)
    # output k contains scale_k * ([j = k] - 1 / n) of input j
    return scale * shares - (scale * shares).mean(), (norm.bias * shares).sum().item()


class Propagation:
    """Relevance from the target's logit down to the words, rule by rule.

    `rules` is `attn` (AttnLRP), `cp` (CP-LRP) or `positive` (transformer attribution).
    """

    def __init__(self, model: ModelByHand, rules: str):
        self.model, self.rules, self.lost = model, rules, 0.0
        self.positive = rules == "positive"
        self.attention: list[list[Tensor]] = []
        with torch.no_grad():
            logits = model.run()
            relevance = torch.zeros_like(logits)
            relevance[model.target] = 1.0 if self.positive else logits[model.target]
            for piece, inputs in zip(reversed(model.head), reversed(model.trail[:-1]), strict=True):
                relevance = self.token(piece, inputs, relevance)
            state = torch.zeros_like(model.steps[0].state)
            state[model.position] = relevance
            for number in reversed(range(len(model.steps))):
                state = self.layer(number, state)
            self.first_layer = state
            if not self.positive:
                shares = torch.zeros_like(state)
                for place, (inputs, relevance) in enumerate(zip(model.summed, state, strict=True)):
                    shares[place], lost = norm_by_hand(model.embeddings.LayerNorm, inputs, relevance)
                    self.lost += lost
                self.words = shares * model.words
                self.lost += (shares * model.positions()).sum().item()

    def token(self, piece: Any, inputs: Tensor, relevance: Tensor) -> Tensor:
        """Relevance through a linear map, a LayerNorm or an activation, for one token."""
        if isinstance(piece, nn.LayerNorm):
            if self.positive:
                return relevance
            share, lost = norm_by_hand(piece, inputs, relevance)
            relevance = share * inputs
        elif isinstance(piece, nn.Linear):
            relevance, lost = linear_by_hand(piece, inputs, relevance, self.positive)
        else:
            return relevance
        self.lost += lost
        return relevance

    def each(self, piece: Any, inputs: Tensor, relevance: Tensor) -> Tensor:
        """The same for all tokens, one by one."""
        return torch.stack([self.token(piece, x, r) for x, r in zip(inputs, relevance, strict=True)])

    def sum(self, first: Tensor, second: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """Relevance of two states that were added."""
        shares = relevance / (first + second)
        sides = [first * shares, second * shares]
        if self.positive:
            sizes = [side.sum().abs() for side in sides]
            sides = [
                side * (size / sum(sizes) * relevance.sum() / side.sum() if size > 0 else 0.0)
                for side, size in zip(sides, sizes, strict=True)
            ]
        return sides[0], sides[1]

    def layer(self, number: int, relevance: Tensor) -> Tensor:
        """Relevance from a layer's output to its input."""
        step, part = self.model.steps[number], self.model.parts[number]
        query, key = self.model.projections[number]
        summed = self.each(part.second_norm, step.outer + step.middle, relevance)
        outer, middle = self.sum(step.outer, step.middle, summed)
        inner = self.each(part.outer, nn.functional.gelu(step.inner), outer)
        middle = middle + self.each(part.inner, step.middle, inner)
        summed = self.each(part.first_norm, step.attended + step.state, middle)
        attended, state = self.sum(step.attended, step.state, summed)
        mixed = self.each(part.projection, torch.cat(step.mixed, dim=1), attended)
        parts_of: dict[str, list[Tensor]] = {"query": [], "key": [], "value": []}
        kept = []
        for head, own in enumerate(mixed.split(step.values[0].shape[1], dim=1)):
            found = self.head_by_hand(step, head, own)
            kept.append(found[0])
            for name, value in zip(("query", "key", "value"), found[1:], strict=True):
                parts_of[name].append(value)
        self.attention.insert(0, kept)
        for linear, name in ((query, "query"), (key, "key"), (part.value, "value")):
            state = state + self.each(linear, step.state, torch.cat(parts_of[name], dim=1))
        return state

    def head_by_hand(self, step: Step, head: int, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One head's relevance `[query, size]`, propagated to its attention, queries, keys and values."""
        attention, values, mixed = step.attention[head], step.values[head], step.mixed[head]
        queries, keys, scores = step.queries[head], step.keys[head], step.scores[head]
        terms = attention[:, :, None] * values[None] * torch.where(mixed == 0, 0.0, relevance / mixed)[:, None]
        if self.rules == "cp":
            zero = torch.zeros_like(queries)
            return torch.zeros_like(attention), zero, zero, terms.sum(dim=0)
        to_attention, to_values = terms.sum(dim=2) / 2, terms.sum(dim=0) / 2
        if self.positive:
            to_scores = to_attention
        else:
            to_scores = scores * (to_attention - attention * to_attention.sum(dim=1, keepdim=True))
            self.lost += (to_attention - to_scores).sum().item()
        size = queries.shape[1] ** 0.5
        terms = queries[:, None] * keys[None] / size * (to_scores / scores)[:, :, None]  # [query, key, size]
        return to_attention, terms.sum(dim=1) / 2, terms.sum(dim=0) / 2, to_values


@cache
def propagated(name: str, index: int, rules: str) -> Propagation:
    """The relevance of a sentence."""
    return Propagation(ModelByHand(name, index), rules)


@cache
def differentiated(name: str, index: int) -> tuple[ModelByHand, list[list[Tensor]]]:
    """A sentence's run, and the gradients of the target's logit for each layer's and head's attention."""
    model = ModelByHand(name, index)
    model.words = model.words.clone().requires_grad_()
    return model, model.attention_gradients(model.run()[model.target])


def worst(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference relative to the largest value."""
    return ((ours.double() - theirs).abs().max() / theirs.abs().max()).item()
