"""The examples that a run explains: the first few of the task's, none too long for the model."""

from collections.abc import Sequence

from harness.contracts import Model
from harness.tracing.batch import Example


def limited(examples: list[Example], limit: int | float | None) -> list[Example]:
    """The given number or share of examples, from the start of their random order."""
    if not examples:
        raise ValueError("the task has no test examples: give more data")
    if limit is None:
        return examples
    return examples[: limit if isinstance(limit, int) else max(1, round(limit * len(examples)))]


def check_examples(examples: Sequence[Example], model: Model) -> None:
    """Raise ValueError where two examples have one id, or one is longer than the model takes."""
    if len({example.id for example in examples}) < len(examples):
        raise ValueError("two examples have the same id: the task must drop repeated sentences")
    longest = max(examples, key=lambda example: len(example.input_ids))
    limit = model.longest
    if limit is not None and len(longest.input_ids) > limit:
        too_long = sum(len(example.input_ids) > limit for example in examples)
        raise ValueError(
            f"{too_long} of {len(examples)} examples are longer than the {limit} tokens that the model takes "
            f"(example {longest.id} has {len(longest.input_ids)}): shorten them, with task.truncate=true where the "
            "task has it, or choose a model with more positions"
        )
