"""Traces, and an explainer's scores for one text."""

from dataclasses import dataclass
from html import escape
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from harness.api.choosing import Named, methods
from harness.api.data import Data, Text, Words, as_task, translation_task
from harness.api.loading import Loadable, device_of, loaded
from harness.contracts import ChecksModel, Explainer
from harness.measure import processor
from harness.measure.protocol import EvaluationProtocol
from harness.measure.swaps import with_swaps
from harness.statistics.correlation import spearman_by_layer
from harness.tracing.batch import Example
from harness.tracing.run import Trace

Values: TypeAlias = Tensor | NDArray


def trace(
    texts: Data,
    model: Loadable,
    *,
    target: str = "predicted",
    output: str | None = None,
    include: str = "content",
    token_budget: int = 8192,
    words: Words | None = None,
) -> Trace:
    """One differentiable run of the model on all texts in one batch: what every method reads.

    Args:
        texts: one text, several, pairs of texts, examples, or a task.
        model: a model, or what `load` takes.
        target: the class that is explained: `predicted`, or the name of a class.
        output: its scalar, `probability`, `logit`, `difference` or `logit_difference`; None for the task's own.
        include: the ranked tokens: `all`, `no_cls`, `prompt` or `content`; of an encoder-decoder also `source` or
            `target`.
        token_budget: tokens in one re-run, at most.
        words: the two next words that a causal language model chooses between.

    Raises:
        ValueError: the model, or one of the settings, does not fit.

    Example:
        >>> trace = harness.trace(["a dull film", "moving and funny"], model)
        >>> list(trace.attention.shape)  # [batch, layer, head, query, key]
        [2, 6, 12, 5, 5]
    """
    model = loaded(model)
    task = as_task(texts, model, words=words)
    protocol = EvaluationProtocol(target, output or "task", include, token_budget=token_budget).of(task)
    examples = task.examples(model)
    return protocol.trace(model, with_swaps(examples, examples, 4), task.classes, device_of(model))


@dataclass(frozen=True, repr=False)
class Scores:
    """An explainer's scores for one text; a notebook shows them as a heat map.

    Args:
        tokens: the text's tokens, special ones too.
        values: `[layer, token]`, or `[layer, head, token]` for single heads; one layer for a method without layers.
        explainer: its name.
        explained: the name of the explained class, or its index.
    """

    tokens: list[str]
    values: NDArray[np.float64]
    explainer: str
    explained: str

    @property
    def table(self) -> pd.DataFrame:
        """Layers down, tokens across; of single heads the mean."""
        rows = self.values if self.values.ndim == 2 else self.values.mean(axis=1)
        names = ["input"] if len(rows) == 1 else [f"L{layer}" for layer in range(1, len(rows) + 1)]
        return pd.DataFrame(rows, index=names, columns=self.tokens)

    def __repr__(self) -> str:
        cells = self.table.to_string(float_format="{:.3g}".format, na_rep="–")
        return f"{self.explainer}, explained class: {self.explained}\n{cells}"

    def _repr_html_(self) -> str:
        head = "<th></th>" + "".join(f"<th>{escape(token)}</th>" for token in self.tokens)
        rows = []
        for name, row in zip(self.table.index, self.table.to_numpy(), strict=True):
            known = np.abs(row[np.isfinite(row)])
            largest = float(known.max()) if len(known) else 0.0
            rows.append(f"<tr><th>{name}</th>{''.join(_cell(value, largest) for value in row)}</tr>")
        caption = f"{escape(self.explainer)}, explained class: {escape(self.explained)}; colour relative to each row"
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{''.join(rows)}</table>"


def _cell(value: float, largest: float) -> str:
    if not np.isfinite(value):
        return "<td>–</td>"
    share = abs(value) / largest if largest > 0 else 0.0
    colour = "0,114,178" if value >= 0 else "213,94,0"
    return f'<td style="background:rgba({colour},{0.85 * share:.2f})" title="{value}">{value:.3g}</td>'


def explain(
    text: Text | Example,
    model: Loadable,
    explainer: Named | Explainer = "rollout",
    *,
    target: str = "predicted",
    output: str | None = None,
    words: Words | None = None,
    position: int = -2,
) -> Scores:
    """One explainer's scores for one text.

    Args:
        text: a text, a pair of texts, or an example of a task; for an encoder-decoder a source and its target.
        model: a model, or what `load` takes.
        explainer: its name, its name and other parameters, or any function of a trace.
        target: the class that is explained: `predicted`, or the name of a class; of an encoder-decoder `wanted` is the
            target's own token and `rival` the strongest other one.
        output: its scalar; None for the difference of probabilities, or of the two words' logits.
        words: the two next words that a causal language model chooses between.
        position: the token of an encoder-decoder's target that is explained, against the strongest other one (the
            other way round where the model prefers that and `target` is `predicted`): from 0, or from the end, where -1
            is the end token and -2 the last of the text.

    Raises:
        ValueError: the model, the explainer or a setting does not fit.

    Example:
        >>> scores = harness.explain("a gorgeous, witty film", model, "rollout")
        >>> scores.tokens
        ['[CLS]', 'a', 'gorgeous', ',', 'witty', 'film', '[SEP]']
        >>> scores.values.shape  # [layer, token]
        (6, 7)
        >>> lm = harness.load(SMOLLM2)  # a causal language model
        >>> scores = harness.explain("The keys to the cabinet", lm, "alti_logit", words=("are", "is"))
        >>> scores.tokens
        ['The', 'Ġkeys', 'Ġto', 'Ġthe', 'Ġcabinet']
        >>> scores.explained
        'are'
    """
    model = loaded(model)
    ((name, method),) = methods("explainers", [explainer]).items()
    if isinstance(position, bool) or not isinstance(position, int):
        raise ValueError(f"position is a whole number, the one token of the target to explain, got {position!r}")
    with processor.settings(None):
        data: Any = [text]
        if model.two_sided and words is None and not isinstance(text, Example):
            as_task(data, model)  # for its error
            data = translation_task(data, position)
        run = trace(data, model, target=target, output=output, words=words)
        _check_serves(name, method, run)
        values = method(run).detach().double().cpu().numpy()[0]
    example = run.batch.examples[0]
    tokens = model.tokens.convert_ids_to_tokens(list(example.input_ids))
    index = int(run.target[0])
    classes = model.classes if words is None else list(words)
    if example.sides is not None and example.candidates is not None:
        classes = model.tokens.convert_ids_to_tokens(list(example.candidates))
    return Scores(tokens, values, name, str(index if classes is None else classes[index]))


def _check_serves(name: str, method: Explainer, run: Trace) -> None:
    if isinstance(method, ChecksModel):
        try:
            method.check_model(run.model)
        except ValueError as error:
            raise ValueError(f"{name} cannot serve this model: {error}") from error


def rho(
    scores: Tensor | NDArray, reference: Tensor | NDArray, trace: Trace, ranks: str = "average"
) -> NDArray[np.float64]:
    """Spearman's rho of scores with a reference over the ranked tokens, `[batch, layer]`; NaN where it is undefined.

    Args:
        scores: `[batch, layer, token]`, a tensor or an array.
        reference: `[batch, token]`; NaN takes a token out of the ranking.
        trace: the one that both were computed from: it knows which tokens are ranked.
        ranks: how ties are ranked, `average` or `dense`.

    Example:
        >>> scores = harness.explainer("rollout")(trace)
        >>> harness.rho(scores, harness.reference("blank_out")(trace), trace).shape
        (2, 6)
    """
    ours, theirs = _array(scores), _array(reference)
    ranked = trace.batch.ranked.cpu().numpy() & ~np.isnan(theirs)
    return spearman_by_layer(ours, theirs, ranked, ranks)


def _array(values: Values) -> NDArray[np.float64]:
    return values.detach().double().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values, dtype=float)
