"""An experiment with its model and its examples: what is explained, batch by batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.cli.progress import bar
from harness.cli.settings import Settings
from harness.contracts import Model, Task
from harness.measure.evaluate import evaluate_batches
from harness.measure.methods import Methods
from harness.measure.protocol import EvaluationProtocol
from harness.tables import STORED, Manifest, Part
from harness.tracing.batch import Example, pack


@dataclass(frozen=True)
class Loaded:
    """An experiment with its model and its examples.

    Args:
        methods: those that can serve the model.
        protocol: with the task's own output where none was chosen.
        manifest: its state before the first batch.
    """

    task: Task
    settings: Settings
    model: Model
    examples: Sequence[Example]
    methods: Methods
    protocol: EvaluationProtocol
    manifest: Manifest

    @cached_property
    def run_columns(self) -> dict[str, str | int]:
        """The columns of rows and metrics that are the same throughout the run."""
        return {"task": self.manifest.task, "model": self.manifest.model_name, "seed": self.manifest.seed}

    @cached_property
    def batches(self) -> dict[int, list[str]]:
        """The ids of each batch's examples, by the number of its part."""
        groups = pack([len(example.input_ids) for example in self.examples], self.protocol.token_budget)
        return {number: [self.examples[index].id for index in group] for number, group in enumerate(groups)}

    def parts(self, done: Mapping[int, int]) -> Iterator[Part]:
        """Explain all batches except those `done` (the number of examples in each), showing progress."""
        before, total = sum(done.values()), len(self.examples)
        with bar("explaining", "examples") as progress:

            def working(method: str, share: float) -> None:
                progress(before + int(share * (total - before)), total, method)

            working("", 0.0)
            parts = evaluate_batches(
                self.examples,
                self.model,
                self.methods.explainers,
                self.methods.references,
                self.protocol,
                self.methods.metrics,
                self.task.classes,
                self.settings.device,
                done=set(done),
                working=working,
            )
            yield from parts
            progress(total, total, "")

    def whole(self, parts: Sequence[Part]) -> dict[str, pd.DataFrame]:
        """All parts as one table of each kind, as a run folder would hold them."""
        rank = {example.id: index for index, example in enumerate(self.examples)}
        tables = {}
        for name, schema in STORED.items():
            table: pd.DataFrame = pd.concat([getattr(part, name) for part in parts], ignore_index=True)
            if "task" in schema.columns:
                table = table.assign(**self.run_columns)[list(schema.columns)]
            table = table.sort_values("example", key=lambda column: column.map(rank), kind="stable")
            tables[name] = schema.check(table.reset_index(drop=True))
        return tables
