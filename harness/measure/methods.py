"""The methods that a run crosses, and those of them that can serve its model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import nn

from harness.contracts import ChecksModel, Explainer, Metric, Reference

Method = TypeVar("Method")


@dataclass(frozen=True)
class Methods:
    """Explainers, references and metrics by name."""

    explainers: Mapping[str, Explainer]
    references: Mapping[str, Reference]
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def serving(self, model: nn.Module) -> tuple["Methods", dict[str, str]]:
        """The methods that can serve a model, and for each of the others why it cannot.

        Raises:
            ValueError: none of the explainers, references or metrics chosen can.
        """
        left_out: dict[str, str] = {}
        serving = Methods(
            _serving(self.explainers, model, left_out),
            _serving(self.references, model, left_out),
            _serving(self.metrics, model, left_out),
        )
        for group, before in (
            ("explainers", self.explainers),
            ("references", self.references),
            ("metrics", self.metrics),
        ):
            if before and not getattr(serving, group):
                raise ValueError(
                    f"none of the {group} chosen can serve this model: {'; '.join(left_out[name] for name in before)}"
                )
        return serving, left_out


def _serving(methods: Mapping[str, Method], model: nn.Module, left_out: dict[str, str]) -> dict[str, Method]:
    serving = {}
    for name, method in methods.items():
        try:
            if isinstance(method, ChecksModel):
                method.check_model(model)
        except ValueError as error:
            left_out[name] = str(error)
        else:
            serving[name] = method
    return serving
