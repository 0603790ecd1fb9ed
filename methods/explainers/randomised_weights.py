"""A floor: an explainer on a randomly re-initialised copy of the model (Adebayo et al. 2018, section 3.1, all at once).

https://arxiv.org/abs/1810.03292
"""

import copy
from dataclasses import dataclass, field
from typing import ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from harness.contracts import ChecksModel, Explainer, Layerless, Reduces
from harness.tracing.run import Trace
from methods.explainers.attention import Attention


@dataclass(frozen=True)
class RandomisedWeights:
    """An explainer on a re-initialised copy of the model, for the classes that the trained model's run explains.

    Every module is reset by its own `reset_parameters`, not by the scheme with which this model was initialised. Where
    a module has none, GPT-2's linear layers are reset like PyTorch's, norms to one and zero, biases to zero. A table of
    sinusoids for positions holds no weights, and stays.

    Args:
        of: the explainer.
        seed: of the weights; the same on any device.
    """

    cost: ClassVar[str] = "few passes"
    floor: ClassVar[bool] = True

    of: Explainer = field(default_factory=Attention)
    seed: int = 0

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be re-initialised, or that the explainer itself cannot serve."""
        for name, module in model.named_modules():
            if stuck := _stuck(module):
                raise ValueError(
                    f"its module {name or 'at the top'} ({type(module).__name__}) holds {', '.join(stuck)}, which "
                    "randomised weights cannot reset: give it a method reset_parameters"
                )
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
        return self.of(trace.on(self.randomised(trace.model)))

    def randomised(self, model: nn.Module) -> nn.Module:
        """A copy of the model with random weights, on the same device; the model itself stays as it is.

        There is one per seed, shared by all batches and floors and kept as long as the model.
        """
        devices = {parameter.device for parameter in model.parameters()}
        dtypes = {parameter.dtype for parameter in model.parameters()}
        copies = _COPIES.setdefault(model, {})
        key = (self.seed, frozenset(devices), frozenset(dtypes))
        if key not in copies:
            copies[key] = self._drawn(model, devices)
        return copies[key]

    def _drawn(self, model: nn.Module, devices: set[torch.device]) -> nn.Module:
        self.check_model(model)
        drawn = copy.deepcopy(model).cpu()  # where a seed gives the same numbers on every machine
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            for module in drawn.modules():
                _reset(module)
        return drawn.to(devices.pop()) if devices else drawn


_COPIES: WeakKeyDictionary[nn.Module, dict[tuple, nn.Module]] = WeakKeyDictionary()


def _stuck(module: nn.Module) -> list[str]:
    """Names of the module's own parameters that nothing here can reset."""
    if hasattr(module, "reset_parameters") or isinstance(module, Conv1D):
        return []
    return [name for name, _ in module.named_parameters(recurse=False) if _constant(module, name) is None]


def _constant(module: nn.Module, name: str) -> float | None:
    """What a parameter of a norm, or a bias, starts at."""
    if name.endswith("bias"):
        return 0.0
    return 1.0 if name == "weight" and type(module).__name__.endswith("Norm") else None


def _reset(module: nn.Module) -> None:
    if "Sinusoidal" in type(module).__name__:  # a table of positions that is computed, though it may be an nn.Embedding
        return
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()  # pyright: ignore[reportCallIssue]
    elif isinstance(module, Conv1D):  # a linear layer whose weight is transposed
        bound = len(module.weight) ** -0.5
        for parameter in (module.weight, module.bias):
            nn.init.uniform_(parameter, -bound, bound)
    else:
        for name, parameter in module.named_parameters(recurse=False):
            nn.init.constant_(parameter, _constant(module, name) or 0.0)
