"""The contract of every task and every model source, checked for all existing yaml files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import OmegaConf
from transformers import AutoTokenizer

import conf
from harness import contracts
from harness.tables import NO_GOLD
from harness.tracing.batch import Example, Role, collate
from harness.tracing.run import Trace
from tests.conftest import shared
from tests.tasks import two_sided_folders

CONF = Path(conf.__file__).parent
NAMES = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("task", "model")}
NEEDED = {"classification": ["task.labels=[no,yes]"], "marked": ["task.path=sentences.txt"]}  # has no usable default
SAMPLE = 50


def build(group: str, name: str, *overrides: str) -> Any:
    """The object that a yaml file describes."""
    with initialize_config_module("conf", version_base="1.3"):
        config = compose("config", overrides=[f"{group}={name}", *overrides])
    return instantiate(config[group])


@pytest.mark.parametrize("name", NAMES["task"])
def test_a_task_satisfies_the_contract_before_any_data_is_read(name, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a task used the network when it was created"))
    task = build("task", name, *NEEDED.get(name, []))
    # `digest` and `facts` read the data, so look them up on the class
    needed = ("version", "digest", "facts", "classes", "output", "head", "examples")
    assert [name for name in needed if not hasattr(type(task), name)] in ([], ["classes"])
    assert task.head is None or task.head in contracts.HEADS
    assert isinstance(task.version, str)
    assert task.version
    assert isinstance(task.output, str)
    assert task.output
    assert all(isinstance(name, str) for name in task.classes)


@pytest.mark.parametrize("name", NAMES["model"])
def test_a_source_can_be_called_with_a_task(name):
    assert callable(build("model", name))


def test_a_pretrained_source_without_a_model_says_what_to_set():
    with pytest.raises(ValueError, match=r"model\.name=.*model\.path=|model\.path=.*model\.name="):
        build("model", "pretrained")(build("task", "texts"), lambda done, total, note: None)


def test_every_yaml_names_a_class_from_tasks():
    for group, names in NAMES.items():
        for name in names:
            target = OmegaConf.load(CONF / group / f"{name}.yaml").get("_target_", "tasks.")
            assert target.startswith("tasks."), f"{group}={name}"


def pretrained(task: contracts.Task, checkpoint: str) -> contracts.Model:
    """The shared real checkpoint, loaded for the task."""
    source = build("model", "pretrained", f"model.path={shared('checkpoints', checkpoint)}")
    return source(task, lambda done, total, note: None)


def obeys(task: contracts.Task, model: contracts.Model) -> None:
    """The checked examples of a task; only the first ones if there are many."""
    assert isinstance(task, contracts.Task)
    examples = task.examples(model)
    assert examples
    assert len({example.id for example in examples}) == len(examples)
    for example in examples[:SAMPLE]:
        assert len(example.roles) == len(example.input_ids)
        assert 0 <= example.position < len(example.input_ids)
        assert example.gold == NO_GOLD or example.gold in range(len(task.classes) or example.gold + 1)
        assert all(0 <= index < len(example.input_ids) for found in example.planted.values() for index in found)
        assert set(example.referents) <= set(example.planted)
        assert example.candidates is None or len(example.candidates) == len(task.classes)
    assert task.examples(model) == examples
    assert task.digest == task.digest
    assert all(isinstance(name, str) for name in task.facts)


def test_the_grammars_examples_satisfy_the_contract(model):
    sizes = ["task.grammar.train=6000", "task.grammar.validation=200", "task.grammar.test=400"]
    obeys(build("task", "agreement", *sizes), model)


def test_given_texts_satisfy_the_contract():
    task = build("task", "texts", 'task.texts=["a dull film","moving and funny","a dull film"]')
    obeys(task, pretrained(task, "distilbert-minilm-sst2"))


def test_the_sst2_reviews_satisfy_the_contract():
    task = build("task", "sst2", f"task.path={shared('data', 'sst2')}")
    obeys(task, pretrained(task, "distilbert-minilm-sst2"))


def test_masked_words_satisfy_the_contract():
    task = build("task", "pronoun")
    obeys(task, pretrained(task, "bert-minilm-mlm"))


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("blimp", "task.path={data}/blimp_evidence"),
        ("ioi", "task.path={data}/ioi/ioi.csv"),
        ("continuation", "task.prompts=[The keys to the cabinet]"),
    ],
)
def test_next_words_satisfy_the_contract(name: str, setting: str):
    tokens = AutoTokenizer.from_pretrained(shared("checkpoints", "smollm2-135m"), local_files_only=True)
    words = ["task.words=[are,is]"] if name == "continuation" else []
    task = build("task", name, setting.format(data=shared("data")), *words)
    obeys(task, contracts.Model(torch.nn.Identity(), tokens, "tokenizer"))


def test_translations_and_copies_satisfy_the_contract(tmp_path: Path):
    folder = two_sided_folders.saved(tmp_path / "model")
    for name, setting in (("translation", "task.pairs=[[das stimmt,that is]]"), ("copying", "task.texts=[das stimmt]")):
        task = build("task", name, setting)
        obeys(task, build("model", "seq2seq_lm", f"model.path={folder}")(task, lambda done, total, note: None))


@dataclass(frozen=True)
class Greetings:
    """A third-party task, written from the contract alone."""

    version: str = "1"
    digest: str = "greetings"
    output: str = "difference"
    head: str | None = "classification"
    classes: Sequence[str] = ("negative", "positive")
    facts: Mapping[str, object] = field(default_factory=dict)

    def examples(self, model: contracts.Model) -> list[Example]:
        tokens: Any = model.tokens
        encodings = [tokens(text)["input_ids"] for text in ("good morning to you", "what a dreadful evening")]
        return [
            Example(
                id=str(index),
                input_ids=ids,
                roles=[Role.CLS, *[Role.CONTENT] * (len(ids) - 2), Role.FINAL],
                position=0,
                gold=NO_GOLD,
            )
            for index, ids in enumerate(encodings)
        ]


def test_a_task_written_from_the_contract_alone_works_with_a_pretrained_model():
    task = Greetings()
    model = pretrained(task, "distilbert-minilm-sst2")
    assert model.classes is not None
    assert len(model.classes) == 2
    obeys(task, model)
    assert Trace(model.module, collate(task.examples(model), "all", model.blank_ids), output="logit").logits.shape == (
        2,
        2,
    )


def test_a_task_that_needs_its_own_model_is_refused_by_a_pretrained_model():
    with pytest.raises(ValueError, match="assay list models"):
        pretrained(Greetings(head=None), "distilbert-minilm-sst2")
