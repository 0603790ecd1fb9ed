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
    """A token's mean change of the output over all windows of tokens that hold it, signed.

    Windows run over the words alone; special tokens are kept, and score 0. With `window=1` these are blank-out's
    differences with their sign: the reference itself, but for that.

    One forward pass for each window.

    Args:
        window: neighbouring tokens that are hidden at a time; a shorter sentence is hidden whole.
        baseline: what hides them, the word embedding of `pad`, `unk` or `mask`, or `zero`.
    """

    cost: ClassVar[str] = "passes by token"

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
