"""A floor: an explainer that reads attention, on attention with each row shuffled."""

import copy
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from harness.contracts import ChecksModel, Explainer, Layerless, Reduces
from harness.tracing.run import Trace
from methods.explainers.attention import Attention
from methods.receptive_field import permuted_keys


@dataclass(frozen=True)
class ShuffledAttention:
    """An explainer on attention whose rows are permuted among the example's own tokens, those that the query can see.

    All heads of a layer share a row's permutation, so that the row of their mean is permuted as a whole: it keeps its
    entries, and every map made from it keeps its sums. Rows, layers and examples have independent permutations, which
    depend on the seed and the example's id: the same in any batch, order or shard. Gradients are not permuted.

    Args:
        of: the explainer that reads the shuffled attention.
        seed: of the permutations.
    """

    cost: ClassVar[str] = "no pass"
    floor: ClassVar[bool] = True

    of: Explainer = field(default_factory=Attention)
    seed: int = 0

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError where the explainer itself cannot serve the model."""
        if isinstance(self.of, ChecksModel):
            self.of.check_model(model)

    @property
    def reduction(self) -> str | None:
        """The reduction of the explainer it runs, if any."""
        return self.of.reduction if isinstance(self.of, Reduces) else None

    @property
    def layerless(self) -> bool:
        """As the explainer it runs."""
        return isinstance(self.of, Layerless) and self.of.layerless

    def __call__(self, trace: Trace) -> Tensor:  # as `of`
        changed = copy.copy(trace)
        changed.forget()  # what was cached for the true attention must not be reused for this one
        source = permuted_keys(trace, self.seed)[:, :, None]  # [batch, step, 1, query, key]
        changed.attention = trace.attention.gather(-1, source.expand_as(trace.attention))
        return self.of(changed)
