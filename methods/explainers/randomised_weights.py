"""A floor: an explainer on the same model with weights by chance (Adebayo et al. 2018, section 3.1, all at once).

https://arxiv.org/abs/1810.03292
"""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from harness.contracts import Explainer
from harness.tracing.run import Trace
from methods.explainers.attention import Attention


@dataclass(frozen=True)
class RandomisedWeights:
    """An explainer on a re-initialised copy of the model, for the classes that the real model's run explains.

    Every module is reset by its own `reset_parameters`, not by the rule by which this model was initialised; where a
    module has none, GPT-2's linear layers are reset as PyTorch's are, norms to one and zero, biases to zero.

    Args:
        of: the explainer.
        seed: of the weights; the same on any device.
    """

    floor = True

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
        getattr(self.of, "check_model", lambda model: None)(model)

    def __call__(self, trace: Trace) -> Tensor:  # as `of`
        model = self.randomised(trace.model)
        changed = Trace(model, trace.batch, trace.target, trace.kind, trace.token_budget)
        changed.rival = trace.rival  # the same difference of classes, whichever the random model finds strong
        return self.of(changed)

    def randomised(self, model: nn.Module) -> nn.Module:
        """A copy of the model with weights by chance, on the same device; the model itself stays as it is."""
        self.check_model(model)
        devices = {parameter.device for parameter in model.parameters()}
        drawn = copy.deepcopy(model).cpu()  # where a seed gives the same numbers on every machine
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            for module in drawn.modules():
                _reset(module)
        return drawn.to(devices.pop()) if devices else drawn


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
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()  # pyright: ignore[reportCallIssue]
    elif isinstance(module, Conv1D):  # a linear layer whose weight stands the other way round
        bound = len(module.weight) ** -0.5
        for parameter in (module.weight, module.bias):
            nn.init.uniform_(parameter, -bound, bound)
    else:
        for name, parameter in module.named_parameters(recurse=False):
            nn.init.constant_(parameter, _constant(module, name) or 0.0)
