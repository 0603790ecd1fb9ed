"""Minimal pairs: of two words that may come next, one is right, and words in the text decide which.

After BLiMP (Warstadt et al. 2020, https://arxiv.org/abs/1912.00582) and Yin & Neubig 2022, who compare the explanation
of a choice with the words that decide it (https://arxiv.org/abs/2202.10419).
"""

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

from torch import nn

from harness import check
from harness.contracts import Model
from harness.tracing.batch import Example
from tasks.names import names_of
from tasks.next_word.encoding import encoded
from tasks.next_word.pairs import PairReader
from tasks.next_word.prompt import OCCURRENCES, Prompt
from tasks.next_word.prompt_tokens import UnfitWordsError
from tasks.next_word.tables import tables
from tasks.word_choice_model import WordChoiceModel


@dataclass(frozen=True)
class MinimalPair:
    """Texts, explained at their last token as a choice between the right next word and a foil.

    Args:
        path: a CSV, TSV, JSON lines or parquet file, or with `subsets` the folder or URL of several.
        subsets: the names of files in the folder, all explained in one run.
        text: the column of the text before the word.
        good: the column of the right word.
        foil: the column of the wrong word.
        evidence: the column of the words of the text that decide; None where the data do not give them.
        distractors: a column of words that speak for the foil: every place where they stand is planted.
        counterfactual: a column of other texts, whose tokens can replace this text's one by one.
        exchange: whether that is the text itself with its two candidate words exchanged.
        occurrence: which place of the evidence counts where it stands several times: `first`, `last` or `all`; None to
            refuse such a row.
        leave_out_unfound: whether to leave out a row whose evidence does not stand in its text, instead of refusing it.
        bos: True puts a token for the start of text in front, False removes it, None leaves it to the tokenizer.
        order_seed: of the random order of the rows.
    """

    path: str | None = None
    subsets: Sequence[str] = ()
    text: str = "text"
    good: str = "good"
    foil: str = "foil"
    evidence: str | None = "evidence"
    distractors: str | None = None
    counterfactual: str | None = None
    exchange: bool = False
    occurrence: str | None = None
    leave_out_unfound: bool = False
    bos: bool | None = None
    order_seed: int = 0

    version = "1"
    output = "logit_difference"
    head = "causal_lm"
    classes = ("good", "foil")

    def __post_init__(self):
        check.count("order_seed", self.order_seed, low=0)
        check.choice("occurrence", self.occurrence, (None, *OCCURRENCES))
        if isinstance(self.subsets, str):
            raise ValueError(f"subsets are a list of names, got {self.subsets!r}: write task.subsets=[{self.subsets}]")
        if self.exchange and self.counterfactual is not None:
            raise ValueError("exchange=true makes the counterfactual text, and counterfactual names one: set only one")

    @property
    def removal(self) -> str:
        """How methods remove a token unless told otherwise: by the counterfactual, where the data give one."""
        return "swap" if self.exchange or self.counterfactual is not None else "task"

    @cached_property
    def _read(self) -> tuple[list[Prompt], dict[str, int]]:
        """The prompts in their random order, and how many rows were read, and why some are not among them."""
        if self.path is None:
            raise ValueError("no data are named: set task.path=<file, or folder with task.subsets=[...]>")
        reader = PairReader(**{one.name: getattr(self, one.name) for one in fields(PairReader)})
        found: list[Prompt] = []
        facts: Counter[str] = Counter()
        for name, table in tables(self.path, self.subsets):
            prompts, counts = reader.read(name, table, {"subset": name} if self.subsets else {})
            found.extend(prompts)
            facts.update(counts)
        if not found:
            raise ValueError(
                f"{self.path}: none of its {facts['rows']} rows has its evidence in its text: check task.evidence"
            )
        facts["repeats"] = len(found) - len({repr(prompt.content) for prompt in found})
        random.Random(self.order_seed).shuffle(found)
        return found, dict(facts)

    @cached_property
    def _left_out(self) -> Counter[str]:
        """Why rows are left out for a model's tokenizer; filled by `examples`."""
        return Counter()

    @property
    def facts(self) -> Mapping[str, int]:
        """Rows read, and how many are left out and why: for the model, after its examples were made."""
        return self._read[1] | dict(self._left_out)

    @cached_property
    def digest(self) -> str:
        """A hash of the texts, their words and what is known about them, in their order."""
        content = (self.version, self.bos, [prompt.content for prompt in self._read[0]])
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def examples(self, model: Model) -> list[Example]:
        """The texts, explained at the last token; without rows whose words the model's tokenizer cannot tell apart."""
        examples: list[Example] = []
        self._left_out.clear()
        last: UnfitWordsError | None = None
        prompts = self._read[0]
        for name, prompt in zip(names_of(repr(prompt.content) for prompt in prompts), prompts, strict=True):
            try:
                example = encoded(prompt, model.tokens, name, self.bos)
            except UnfitWordsError as error:
                self._left_out[error.reason] += 1
                last = error
                continue
            self._left_out["with_counterfactual"] += bool(example.swaps)
            examples.append(example)
        if not examples:
            raise ValueError(f"no row of {self.path} can be explained with this tokenizer: {last}") from last
        return examples

    def prepare_model(self, module: nn.Module) -> WordChoiceModel:
        """A causal language model as one that chooses between the two words."""
        return WordChoiceModel(module, causal=True)
