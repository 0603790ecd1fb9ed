"""How badly the scores predict the effect of removing a set of tokens (Yeh et al. 2019, section 2), by Captum.

https://arxiv.org/abs/1901.09392
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from captum.metrics import infidelity
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, log_probability, removable
from methods.removal_steps import defined
from methods.subsets import coin_flips


@dataclass(frozen=True)
class Infidelity:
    """Mean over random sets of (the set's scores summed - the fall of p when the set is removed)^2.

    A perturbation I is 1 on the set's tokens and 0 elsewhere. A set holds each ranked token with probability 1/2.

    Args:
        removal: how tokens are removed, see `methods.removal`. The explained position is never deleted.
        samples: sets drawn for each example.
        normalised: whether scores are first multiplied by the factor that makes the mean smallest, since attention
            has no unit. The factor may be negative, so scores that all have the wrong sign are not penalised.
        seed: of the sets, together with the example's id.
    """

    cost: ClassVar[str] = "passes by step"

    removal: str = "run"
    samples: int = 50
    normalised: bool = True
    seed: int = 0

    higher_is_better: ClassVar[bool] = False

    def __post_init__(self):
        check_parameters(self.removal)
        check.count("samples", self.samples)
        check.choice("normalised", self.normalised, (True, False))

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        batch = trace.batch
        ranked = removable(trace, self.removal)
        scores = scores.to(ranked.device)
        sets = coin_flips(batch, ranked, self.samples, self.seed)  # [batch, sample, token]
        layers, width = scores.shape[1:]
        wide = sets[:, None].expand(-1, layers, -1, -1).reshape(-1, width).double()  # [batch * layer * sample, token]
        example = torch.arange(len(ranked), device=ranked.device).repeat_interleave(layers)

        def probability(presence: Tensor, index: Tensor) -> Tensor:
            return log_probability(trace, presence == 0, self.removal, index).exp()

        values = infidelity(
            probability,
            lambda presence: (wide, presence - wide),
            torch.ones(len(example), width, dtype=torch.float64, device=ranked.device),
            scores.double().masked_fill(~(ranked[:, None] & scores.isfinite()), 0.0).flatten(0, 1),
            additional_forward_args=example,
            n_perturb_samples=self.samples,
            normalize=self.normalised,
        )
        return values.view(-1, layers).masked_fill(~defined(scores, ranked), torch.nan)
