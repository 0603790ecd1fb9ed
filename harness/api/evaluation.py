"""Explainers crossed with references and metrics, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.api.choosing import Chosen, methods, snake_case
from harness.api.data import Data, Words, as_task
from harness.api.loading import Loadable, device_of, dtype_of, loaded
from harness.api.results import Results
from harness.cli import configuration
from harness.cli.experiment import Experiment, in_memory
from harness.cli.settings import Settings
from harness.contracts import Model, Progress, Task
from harness.measure.methods import Methods
from harness.measure.protocol import EvaluationProtocol


def evaluate(
    data: Data,
    model: Loadable,
    explainers: Chosen = ("rollout",),
    references: Chosen = ("blank_out",),
    metrics: Chosen = (),
    *,
    labels: Sequence[object] | None = None,
    target: str = "predicted",
    output: str | None = None,
    include: str = "content",
    ranks: str = "average",
    limit: int | float | None = None,
    seed: int = 0,
    token_budget: int = 2048,
    threads: int | None = None,
    words: Words | None = None,
    removal: str | None = None,
) -> Results:
    """Cross explainers with references and metrics over texts or a task.

    Args:
        data: texts, pairs of texts, examples, a task, or the name of one.
        model: a model, or what `load` takes.
        explainers: names, names with parameters (`("rollout", {"residual": 0.1})`), objects, or a mapping by name.
        references: likewise.
        metrics: likewise.
        labels: the right class of each text, by name or index, where it is known.
        target: the class that is explained: `predicted`, `gold`, or the name of a class.
        output: its scalar; None for the task's own.
        include: the ranked tokens: `all`, `no_cls`, `prompt` or `content`; of an encoder-decoder also `source` or
            `target`.
        ranks: how ties are ranked, `average` or `dense`.
        limit: at most this many examples, or this share of them.
        seed: recorded with the results.
        token_budget: tokens in one batch; it changes memory and speed, no number.
        threads: processor threads; None for all cores.
        words: the two next words that a causal language model chooses between, for all texts, or two for each.
        removal: how methods remove a token, e.g. `ignore` or `swap`; None for the task's own.

    Raises:
        ValueError: something does not fit; what, and what to do, is in the message.

    Example:
        >>> results = harness.evaluate(TEXTS, model, explainers=["random", "rollout"], references=["blank_out"])
        >>> board = results.leaderboard()
        >>> board[board["explainer"] == "rollout"]["layer"].tolist()
        [1, 2, 3, 4, 5, 6]
    """
    name = "texts"
    if isinstance(data, str) and data in configuration.choices("task"):
        name, data = data, configuration.task_or_model("task", data)
    elif isinstance(data, Task):
        name = snake_case(data)
    ready = loaded(model, data if isinstance(data, Task) else None)
    task = as_task(data, ready, labels, words)
    chosen = Methods(methods("explainers", explainers), methods("references", references), methods("metrics", metrics))
    settings = Settings(
        task=name,
        model=ready.identity.partition("@")[0].rpartition("/")[2],
        seed=seed,
        limit=limit,
        dtype=dtype_of(ready),
        device=device_of(ready),
        threads=threads,
        figures=False,
    )
    protocol = EvaluationProtocol(target, output or "task", include, ranks, token_budget, removal or "task")
    config = {group: {method: {} for method in getattr(chosen, group)} for group in configuration.GROUPS}
    return Results(*in_memory(Experiment(task, _Ready(ready), chosen, protocol, settings, config)))


@dataclass(frozen=True)
class _Ready:
    """The source of a model that is loaded already."""

    model: Model

    def __call__(self, task: Task, progress: Progress) -> Model:
        return self.model


class ConfiguredRun:
    """A run as the command line would configure it; calling it runs it, in memory."""

    def __init__(self, configured: Experiment):
        self._configured = configured

    @property
    def config(self) -> Mapping[str, object]:
        """Every setting and its value."""
        return self._configured.config

    def __call__(self) -> Results:
        """The results: the same numbers as on the command line."""
        return Results(*in_memory(self._configured))

    def __repr__(self) -> str:
        settings = self._configured.settings
        return f"ConfiguredRun({settings.task}, {settings.model}: {', '.join(self._configured.methods.explainers)})"


def experiment(*overrides: str) -> ConfiguredRun:
    """The run that these overrides would give on the command line.

    Example:
        >>> run = harness.experiment("task=sst2", "limit=20", "explainers=[random,rollout]")
        >>> run.config["limit"]
        20
    """
    return ConfiguredRun(configuration.composed(overrides))
