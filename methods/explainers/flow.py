"""Attention flow, exact (Abnar & Zuidema 2020, section 3). https://arxiv.org/abs/2005.00928"""

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import networkx as nx
import numpy as np
import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from harness.tracing.steps import Side, two_sided
from methods.feedback import feedback_flow
from methods.maximum_flow import maximum_flow_all_batch, maximum_flow_batch
from methods.mixing import check_parameters, over_heads, with_residual
from methods.receptive_field import check_receptive_field, normalised

ENGINES = ("numba", "networkx")
MET = 1e-9  # a flow this close to its upper bound has reached it


@dataclass(frozen=True)
class Flow:
    """The maximum flow from the explained position at each layer to each input token, divided by its sum.

    With `heads=each`, head k of layer l is applied on top of the head-averaged layers below it (appendix A.1).

    Args:
        residual: weight of the identity mixed into each layer.
        heads: `mean`, `max` or `min` over heads, or `each` head as a separate row.
        read_out: what the model's `head` reads, the explained position's `row`, or `max`, `mean` or `sum`
            over all queries.
        receptive_field: what a score is taken in relation to, since early tokens of a causal model are read by more
            queries: `none`, `size`, `uniform` or `rows_shuffled` (`draws` of them, by `seed`), as in
            `methods.receptive_field`;
            or `utilisation`, the flow as a share of its upper bound.
        draws: number of shuffles.
        seed: of the shuffles.
        encoder: in an encoder-decoder, whether the source is followed through the encoder; otherwise each of
            the encoder's states counts as its own token.
        feedback: in an encoder-decoder, whether each earlier token of the target is fed by the position that decided on
            it (after Metzger et al. 2022, https://arxiv.org/abs/2205.15389): all flow then ends in the source, or in
            the start token. There is one row of scores, that of the last layer; see `methods.feedback` for its cost.
        engine: `numba`, or `networkx`: thousands of times slower, for checking.
    """

    cost: ClassVar[str] = "no pass"

    residual: float = 0.5
    heads: str = "mean"
    read_out: str = "head"
    receptive_field: str = "none"
    draws: int = 8
    seed: int = 0
    encoder: bool = True
    feedback: bool = False
    engine: str = "numba"

    def __post_init__(self):
        check_parameters(self.residual, self.heads, self.read_out)
        check_receptive_field(self.receptive_field, self.draws, self.seed, ("utilisation",))
        check.choice("encoder", self.encoder, (True, False))
        check.choice("feedback", self.feedback, (True, False))
        plain = (self.heads != "each", self.read_out in ("head", "row"), self.receptive_field == "none", self.encoder)
        if self.feedback and not (all(plain) and self.engine == "numba"):
            raise ValueError(
                "feedback=true goes with neither heads=each nor a read-out of several rows, nor with receptive_field, "
                "encoder=false or another engine: leave these as they are"
            )
        check.choice("engine", self.engine, ENGINES)

    @property
    def layerless(self) -> bool:
        """Whether there is one row for the whole model."""
        return self.feedback

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for feedback in a model without an encoder."""
        if self.feedback and not two_sided(model):
            raise ValueError("feedback has no form for a model with one text: set feedback=false")

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, (head,) token]
        if self.feedback:
            return self._fed_back(trace)

        def score(attention: Tensor) -> Tensor:
            return self._scores(trace, attention)

        how = "none" if self.receptive_field == "utilisation" else self.receptive_field
        return normalised(trace, over_heads(trace, self.heads), score, how, self.draws, self.seed)

    def _scores(self, trace: Trace, attention: Tensor) -> Tensor:
        tops = self._capacities(trace, attention)
        kept = self._kept(trace)
        ends = [place for place, number in enumerate(kept) if trace.steps[number].closes]
        tops = tops if len(kept) == len(trace.steps) else tops[:, kept]
        if self.heads != "each":
            return self._flow(trace, tops)[:, ends]
        layers = self._capacities(trace, attention.mean(dim=2))[:, kept]  # [batch, step, query, key]
        rows = []
        for end in ends:
            for head in range(tops.shape[2]):
                graph = torch.cat([layers[:, :end], tops[:, end, head, None]], dim=1)
                rows.append(self._flow(trace, graph)[:, -1])
        return torch.stack(rows, dim=1).unflatten(1, (len(ends), tops.shape[2]))

    def _kept(self, trace: Trace) -> list[int]:
        """The steps of the graph."""
        return [number for number, step in enumerate(trace.steps) if self.encoder or step.layer is not None]

    def _fed_back(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        capacity = self._capacities(trace, over_heads(trace, self.heads)).cpu().numpy()
        flow = np.zeros((len(capacity), 1, capacity.shape[-1]))
        sources = (trace.batch.side == Side.SOURCE).sum(dim=1).tolist()
        rows = zip(trace.batch.length.tolist(), sources, trace.batch.position.tolist(), strict=True)
        for example, (n, source, position) in enumerate(rows):
            graph = capacity[example, :, :n, :n]
            flow[example, 0, :n] = feedback_flow(graph, trace.steps, source, position)
        total = flow.sum(axis=-1, keepdims=True)
        return torch.from_numpy(flow / np.where(total > 0, total, 1.0)).to(trace.logits.device)

    def _capacities(self, trace: Trace, attention: Tensor) -> Tensor:
        """Of each step's edges; what a token keeps in a step in which it does not read never binds."""
        return with_residual(trace, attention, self.residual, passed=float(attention.shape[-1]))

    def saturated(self, trace: Trace) -> Tensor:
        """The share of ranked tokens whose flow has reached its upper bound, `[batch, layer(, head)]`, in float64.

        The bound is 1, or the total that the first mixing of the token passes to all queries, whichever is less. Where
        every query has reached it, deeper layers add nothing, and all tokens bounded by 1 tie. NaN where no token is
        ranked, and for `heads=each`, `encoder=false`, `feedback=true` or a read-out of several rows, whose
        scores are not one such flow.
        """
        if self.feedback:
            return trace.embedding.new_full((len(trace.embedding), 1), torch.nan, dtype=torch.float64)
        attention = over_heads(trace, self.heads)
        layers = self._capacities(trace, attention)  # [batch, step, (head,) query, key]
        ends = [number for number, step in enumerate(trace.steps) if step.closes]
        if not self._one_row(trace) or self.heads == "each" or not self.encoder:
            return layers[:, ends].new_full(layers[:, ends].shape[:-2], torch.nan)
        flow = self._maximum(trace, layers)[:, ends, 0]  # [batch, layer, token]
        most = self._most(trace, layers)  # [batch, token]
        ranked = trace.batch.ranked[:, None]  # [batch, 1, token]
        met = ((flow - most[:, None]).abs() <= MET) & ranked
        return met.sum(dim=-1).double() / ranked.sum(dim=-1)  # 0 / 0 is NaN

    def _flow(self, trace: Trace, layers: Tensor) -> Tensor:  # [batch, layer, token]
        flow = self._maximum(trace, layers)
        if self.receptive_field == "utilisation":
            most = self._most(trace, layers)[:, None, None]  # [batch, 1, 1, token]
            flow = flow / most.where(most > 0, 1.0)
        total = flow.sum(dim=-1, keepdim=True)
        flow = flow / total.where(total > 0, 1.0)
        return flow[:, :, 0] if flow.shape[2] == 1 != layers.shape[2] else trace.read_out(flow, self.read_out)

    def _most(self, trace: Trace, layers: Tensor) -> Tensor:
        """No flow to a token exceeds this: 1, or what its side's first step passes on to it, `[batch, token]`."""
        if trace.sides is None:
            return layers[:, 0].sum(dim=1).clamp(max=1.0)
        columns = layers.sum(dim=2)  # [batch, step, token]
        first = trace.reads[:, self._kept(trace)].long().argmax(dim=1)  # the source's without the encoder binds nowhere
        return columns.gather(1, first[:, None])[:, 0].clamp(max=1.0)

    def _maximum(self, trace: Trace, layers: Tensor) -> Tensor:  # [batch, layer, query, token], or query 1: the row
        capacity = layers.cpu().numpy()
        length = trace.batch.length.cpu().numpy()
        position = trace.batch.position.cpu().numpy()
        if self.engine == "networkx":
            flow = networkx_flow(capacity, length, position if self._one_row(trace) else None)
        elif self._one_row(trace):
            flow = maximum_flow_batch(capacity, position, length)[:, :, None]
        else:
            flow = maximum_flow_all_batch(capacity, length)
        return torch.from_numpy(flow).to(layers.device)

    def _one_row(self, trace: Trace) -> bool:
        """Whether only the flow from the explained position is read."""
        return self.read_out == "row" or (self.read_out == "head" and (trace.by_position or trace.head_weights is None))


def networkx_flow(capacity: np.ndarray, length: np.ndarray, position: np.ndarray | None) -> np.ndarray:
    """Maximum flows by networkx, `[batch, layer, query, token]`; with a position, from that query alone."""
    flow = np.zeros_like(capacity)
    for example, n in enumerate(length):
        graph = nx.DiGraph()
        for layer in range(capacity.shape[1]):
            for query, key in np.ndindex(n, n):
                graph.add_edge((layer + 1, query), (layer, key), capacity=capacity[example, layer, query, key])
        queries = range(n) if position is None else [position[example]]
        for layer, query, key in product(range(capacity.shape[1]), queries, range(n)):
            flow[example, layer, query, key] = nx.maximum_flow_value(graph, (layer + 1, query), (0, key))
    return flow
