"""Texts, single or in pairs, as a classifier's tokens."""

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from harness.contracts import Model
from harness.tracing.batch import Example, Role
from harness.tracing.notices import Notice
from tasks.sentences import sentences


@dataclass(frozen=True)
class Row:
    """One text, or a pair, and its class."""

    text: str
    pair: str | None
    gold: int


def encoded(rows: Iterable[Row], model: Model, truncate: bool = False) -> list[Example]:
    """The texts with the model's special tokens, explained at CLS; each repeat of a row gets a different id.

    Raises:
        ValueError: the tokenizer puts no CLS token into a text.
    """
    seen: Counter[Row] = Counter()
    examples = []
    for row in rows:
        seen[row] += 1
        examples.append(_example(row, seen[row], model, truncate))
    return examples


def _example(row: Row, occurrence: int, model: Model, truncate: bool) -> Example:
    tokens: Any = model.tokens
    for text in (row.text, row.pair or ""):
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"the text {text!r} holds half of a surrogate pair, which is no character: correct it")
    cut = {"truncation": True, "max_length": model.longest} if truncate else {}
    known = row.pair is None and tokens.is_fast  # where a slow tokenizer's tokens stand, it does not say
    encoding = tokens(
        row.text, row.pair, return_special_tokens_mask=True, return_offsets_mapping=known, verbose=False, **cut
    )
    ids = encoding["input_ids"]
    types = encoding.get("token_type_ids")
    digest = hashlib.sha256(repr((row.text, row.pair, row.gold)).encode()).hexdigest()[:16]
    special = encoding["special_tokens_mask"]
    roles = special_roles(ids, special, tokens)
    if Role.CLS not in roles and tokens.cls_token_id is None and special[:1] == [1]:
        roles[0] = Role.CLS  # the tokenizer writes one, and its configuration does not say so
    if Role.CLS not in roles:
        raise ValueError(
            "the model's tokenizer adds no CLS token, whose state the classifier reads: "
            "choose an encoder such as BERT, DistilBERT, RoBERTa, ELECTRA or DeBERTa"
        )
    return Example(
        id=digest if occurrence == 1 else f"{digest}-{occurrence}",
        input_ids=ids,
        roles=roles,
        position=roles.index(Role.CLS),
        gold=row.gold,
        token_types=types if types and any(types) else None,
        sentence=sentences(row.text, encoding["offset_mapping"]) if known else [],
    )


def special_roles(ids: Sequence[int], special: Sequence[int], tokens: Any) -> list[Role]:
    """Each token's role: the tokenizer's CLS, the last of its other special tokens as the end, the rest separators."""
    roles = [Role.SEPARATOR if added else Role.CONTENT for added in special]
    for index, added in enumerate(special):
        if added and ids[index] == tokens.cls_token_id and Role.CLS not in roles:
            roles[index] = Role.CLS
    ends = [index for index, role in enumerate(roles) if role == Role.SEPARATOR]
    if ends:
        roles[ends[-1]] = Role.FINAL
    return roles


def check_classes(module: nn.Module, classes: Sequence[str], parameter: str, remedy: str = "") -> None:
    """Raise ValueError unless a classifier's classes are the task's, in the same order.

    The error names the parameter that holds them, and what else to set.
    """
    config: Any = module.config
    names = [str(config.id2label[index]) for index in range(config.num_labels)]
    if len(names) != len(classes):
        raise ValueError(
            f"the model distinguishes {len(names)} classes ({', '.join(names)}), the task names {len(classes)} "
            f"({', '.join(classes)}): set task.{parameter} to the model's{remedy}"
        )
    theirs, ours = [name.lower() for name in names], [name.lower() for name in classes]
    named = not all(re.fullmatch(r"label_\d+", name) for name in theirs)
    if named and not {*theirs} & {*ours}:
        warnings.warn(
            f"the model calls its classes {', '.join(names)}, the task calls them {', '.join(classes)}, in this order: "
            f"set task.{parameter}{remedy} if they do not mean the same",
            Notice,
            stacklevel=2,
        )
    if sorted(theirs) == sorted(ours) and theirs != ours:
        raise ValueError(
            f"the model's classes are in the order {', '.join(names)}, the task's in {', '.join(classes)}: "
            f"set task.{parameter} in the model's order{remedy}"
        )
