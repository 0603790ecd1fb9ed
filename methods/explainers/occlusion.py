"""Occlusion: the output's change when neighbouring tokens are hidden (Zeiler & Fergus 2014), through Captum.

https://arxiv.org/abs/1311.2901
"""

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import Occlusion as CaptumOcclusion
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal
from methods.single_example import SingleExample, removed_one_by_one


@dataclass(frozen=True)
class Occlusion:
    """The mean signed change of the output over all windows that contain a token.

    Windows cover words only; special tokens are kept and score 0. With `window=1` the scores are blank-out's
    differences with their sign: except for the sign, the reference itself.

    One forward pass per window.

    Args:
        window: number of neighbouring tokens hidden at a time; a shorter sentence is hidden entirely.
        removal: how absent words are removed, see `methods.removal`.
    """

    cost: ClassVar[str] = "passes by token"
    layerless: ClassVar[bool] = True

    window: int = 3
    removal: str = "run"

    def __post_init__(self):
        check.count("window", self.window)
        check_parameters(self.removal)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        return removed_one_by_one(trace, self.removal, self._attribute)[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        words = len(example.places)
        return CaptumOcclusion(example.forward).attribute(
            example.present,
            sliding_window_shapes=(min(self.window, words),),
            baselines=0,
            perturbations_per_eval=example.at_once,
        )
