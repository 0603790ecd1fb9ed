"""The examples that a run explains: the first few of the task's, none too long for the model."""

from collections.abc import Sequence
from dataclasses import replace

from harness.contracts import Model
from harness.tracing.batch import Example


def limited(examples: list[Example], limit: int | float | None) -> list[Example]:
    """The given number or share of examples, from the start of their random order."""
    if not examples:
        raise ValueError("the task has no test examples: give more data")
    if limit is None:
        return examples
    return examples[: limit if isinstance(limit, int) else max(1, round(limit * len(examples)))]


def sharded(examples: list[Example], shard: int, shards: int) -> list[Example]:
    """Every `shards`-th example, from number `shard` on."""
    chosen = examples[shard - 1 :: shards]
    if not chosen:
        raise ValueError(
            f"shard={shard}/{shards} has no example, as there are only {len(examples)}: take at most {len(examples)} "
            "shards, or raise limit"
        )
    return chosen


def clustered(examples: Sequence[Example]) -> list[Example]:
    """The examples, in one cluster where the model reads the same text: copies of a text tell nothing new."""
    first: dict[object, str] = {}
    names: dict[str, str] = {}  # of clusters that a text joins, the name under which they go

    def found(name: str) -> str:
        while name in names:
            name = names[name]
        return name

    for example in examples:
        text = (tuple(example.input_ids), tuple(example.token_types or ()), example.position)
        own = found(example.cluster or example.id)
        other = found(first.setdefault(text, own))
        if own != other:
            names[own] = other
    return [
        example
        if (name := found(example.cluster or example.id)) == (example.cluster or example.id)
        else replace(example, cluster=name)
        for example in examples
    ]


def check_examples(examples: Sequence[Example], model: Model) -> None:
    """Raise ValueError where two examples have one id, or one is longer than the model takes or has unknown tokens."""
    if len({example.id for example in examples}) < len(examples):
        raise ValueError("two examples have the same id: the task must drop repeated sentences")
    _check_vocabulary(examples, model)
    longest = max(examples, key=_length)
    limit = model.longest
    if limit is not None and _length(longest) > limit:
        too_long = sum(_length(example) > limit for example in examples)
        raise ValueError(
            f"{too_long} of {len(examples)} examples are longer than the {limit} tokens that the model takes "
            f"(example {longest.id} has {_length(longest)}): shorten them, with task.truncate=true where the "
            "task has it, or choose a model with more positions"
        )


def _length(example: Example) -> int:
    """Tokens in a row; an encoder-decoder reads source and prefix apart."""
    tokens = len(example.input_ids)
    return tokens if example.sides is None else max(example.sides.source, tokens - example.sides.source)


def _check_vocabulary(examples: Sequence[Example], model: Model) -> None:
    """Raise ValueError where the tokenizer has tokens, or types of tokens, that the model does not have."""
    words = getattr(model.module.get_input_embeddings(), "num_embeddings", None)  # pyright: ignore[reportCallIssue]
    known = {example.id: max(example.input_ids) for example in examples if example.input_ids}
    blanks = {f"the token {name}": id for name, id in model.blank_ids.items() if id is not None}
    for what, highest in [*blanks.items(), *((f"a token of example {name}", number) for name, number in known.items())]:
        if words is not None and highest >= words:
            raise ValueError(
                f"{what} has the number {highest}, and the model's vocabulary ends at {words - 1}: model and tokenizer "
                "do not belong together, or tokens were added without resizing the model"
            )
    types = getattr(getattr(model.module, "config", None), "type_vocab_size", None)
    for example in examples:
        if types and example.token_types and max(example.token_types) >= types:
            raise ValueError(
                f"example {example.id} has tokens of type {max(example.token_types)}, and the model takes {types} "
                f"type{'s' * (types != 1)} of tokens: model and tokenizer do not belong together"
            )
