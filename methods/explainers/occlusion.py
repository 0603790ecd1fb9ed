"""Occlusion: the output's change when neighbouring tokens are hidden (Zeiler & Fergus 2014), through Captum.

https://arxiv.org/abs/1311.2901
"""

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import Occlusion as CaptumOcclusion
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.blanks import BASELINES
from methods.single_example import SingleExample, one_by_one


@dataclass(frozen=True)
class Occlusion:
    """The mean signed change of the output over all windows that contain a token.

    Windows cover words only; special tokens are kept and score 0. With `window=1` the scores are blank-out's
    differences with their sign: except for the sign, the reference itself.

    One forward pass per window.

    Args:
        window: number of neighbouring tokens hidden at a time; a shorter sentence is hidden entirely.
        baseline: what replaces them: the word embedding of `pad`, `unk` or `mask`, or `zero`.
    """

    cost: ClassVar[str] = "passes by token"
    layerless: ClassVar[bool] = True

    window: int = 3
    baseline: str = "unk"

    def __post_init__(self):
        check.count("window", self.window)
        check.choice("baseline", self.baseline, BASELINES)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        # every dimension of a token has the token's own score
        return one_by_one(trace, self.baseline, self._attribute).mean(dim=2)[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        _, words, hidden = example.inputs.shape
        return CaptumOcclusion(example.forward).attribute(
            example.inputs,
            sliding_window_shapes=(min(self.window, words), hidden),
            baselines=example.baseline,
            perturbations_per_eval=example.at_once,
        )
