"""The largest change of an explanation when the embedding changes slightly (Yeh et al. 2019, section 3), by Captum.

https://arxiv.org/abs/1901.09392
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from captum.metrics import sensitivity_max
from torch import Tensor

from harness import check
from harness.contracts import Explainer
from harness.tracing.run import Trace
from methods.removal_steps import defined
from methods.seeded import generator


@dataclass(frozen=True)
class SensitivityMax:
    """Largest norm of the change of the ranked scores over random noise, divided by the norm of the scores.

    The same class is explained on the noisy word embedding. NaN where all ranked scores are zero. Raises for an
    explainer that re-runs the model on other tokens.

    Args:
        radius: noise is uniform in plus or minus this share of the root mean square of an example's embedding.
        samples: noise samples per example.
        seed: of the noise, together with the example's id.
    """

    cost: ClassVar[str] = "passes by step"

    radius: float = 0.1
    samples: int = 5
    seed: int = 0

    higher_is_better: ClassVar[bool] = False
    asks_explainer: ClassVar[bool] = True

    def __post_init__(self):
        check.number("radius", self.radius, 0, 10)
        check.count("samples", self.samples)

    def __call__(self, trace: Trace, scores: Tensor, explainer: Explainer) -> Tensor:  # [batch, layer]
        device = trace.logits.device
        ranked = trace.batch.ranked[:, None]  # [batch, 1, token]
        scores = scores.to(device)
        embeddings = self.moved_embeddings(trace)  # [batch, sample, token, hidden]
        moved = torch.stack(
            [
                explainer(trace.moved(embeddings[:, sample])).detach().to(device).view(scores.shape)
                for sample in range(self.samples)
            ],
            dim=1,
        )  # [batch, sample, layer, token]
        moved = moved.double().masked_fill(~ranked[:, None], 0.0).flatten(0, 1)  # [batch * sample, layer, token]
        here = scores.double().masked_fill(~ranked, 0.0)
        values = []
        for layer in range(scores.shape[1]):
            # Captum first asks for the explanation of a tuple of inputs, then for those of all perturbed inputs
            explanations: Iterator[Any] = iter(((here[:, layer],), moved[:, layer]))
            values.append(
                sensitivity_max(
                    lambda _inputs, explanations=explanations: next(explanations),
                    trace.embedding.detach(),
                    lambda _inputs: embeddings.flatten(0, 1),
                    n_perturb_samples=self.samples,
                )
            )
        sound = defined(scores, trace.batch.ranked) & (here != 0).any(dim=-1)
        return torch.stack(values, dim=1).masked_fill(~sound, torch.nan)

    def moved_embeddings(self, trace: Trace) -> Tensor:
        """The word embedding with noise on the example's own tokens, `[batch, sample, token, hidden]`."""
        embedding = trace.embedding.detach()
        moved = embedding[:, None].repeat(1, self.samples, 1, 1)
        for row, example in enumerate(trace.batch.examples):
            n = len(example.input_ids)
            noise = 2 * generator(self.seed, example.id).random((self.samples, n, embedding.shape[2])) - 1
            size = self.radius * embedding[row, :n].double().square().mean().sqrt()
            moved[row, :, :n] += (size * torch.from_numpy(noise).to(embedding.device)).to(embedding.dtype)
        return moved
