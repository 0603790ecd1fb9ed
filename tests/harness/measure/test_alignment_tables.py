"""From a real encoder-decoder that copies its source to alignments, by way of the stored tables."""

import pandas as pd
import pytest
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from harness.contracts import Model
from harness.measure.evaluate import evaluate_batches
from harness.measure.protocol import EvaluationProtocol
from harness.results.run_folder import RunFolder
from harness.statistics.alignment_board import alignment_board, alignment_rows
from harness.tables import EXAMPLES, SCORES, Manifest
from harness.tracing.batch import Role
from methods.explainers.attention import Attention
from methods.explainers.diagonal import Diagonal
from methods.metrics.source_share import SourceShare
from methods.references.input_gradient import InputGradient
from tasks.target_positions import Pair, examples_of
from tasks.target_word_model import TargetWordModel
from tests.conftest import shared

MOLECULES = 3


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Of the annalog model, which copies molecules: word and token are one, and word i is aligned with word i."""
    folder = shared("checkpoints", "annalog-marian")
    tokens = AutoTokenizer.from_pretrained(folder)
    inner = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager").eval().requires_grad_(False)
    module = TargetWordModel(inner)
    pairs = []
    for number, text in enumerate((folder / "molecules.txt").read_text().split()[:MOLECULES]):
        ids = tokens(text, add_special_tokens=False).input_ids
        words = list(range(len(ids)))
        start, end = tokens.convert_tokens_to_ids(["<sos>", "<eos>"])
        pairs.append(
            Pair(
                id=f"m{number}",
                source=[start, *ids, end],
                source_roles=[Role.CLS, *[Role.CONTENT] * len(ids), Role.FINAL],
                source_words=[-1, *words, -1],
                start=[inner.config.decoder_start_token_id],
                target=[*ids, end],
                target_words=[*words, -1],
                sure=[(word, word) for word in words],
                possible=[(0, 1)],
            )
        )
    model = Model(module, tokens, "annalog")
    methods = {"attention": Attention(), "diagonal": Diagonal()}
    protocol = EvaluationProtocol(target="gold", output="logit_difference", removal="unk")
    run = RunFolder(tmp_path_factory.mktemp("copy") / "run")
    run.open()
    run.write_manifest(Manifest("running", "copying", "annalog", 0, None, {}, [], run="this"))
    examples = examples_of(pairs, module)
    against, share = {"input_gradient": InputGradient()}, {"source_share": SourceShare()}
    for part in evaluate_batches(examples, model, methods, against, protocol, share, classes=("target", "rival")):
        run.write_part(part, {"task": "copying", "model": "annalog", "seed": 0})
    run.merge([example.id for example in examples])
    return {name: run.table(name) for name in (EXAMPLES.name, SCORES.name, "metrics")}


def test_what_an_alignment_needs_is_stored_of_each_example(tables: dict[str, pd.DataFrame]):
    rows = tables["examples"][tables["examples"]["cluster"] == "m0"]
    n = len("CC(=O)Nc1ccc(O)cc1")
    assert len(rows) == n + 1
    assert set(rows["source"]) == {n + 2}
    assert set(rows["target_length"]) == {n + 2}
    assert rows["next_word"].tolist() == [*range(n), -1]
    fourth = rows.iloc[3]
    assert list(fourth["words"]) == [-1, *range(n), -1, -1, 0, 1, 2]
    links = {(one["source"], one["target"]): one["sure"] for one in fourth["links"]}
    assert links == {(word, word): True for word in range(n)} | {(0, 1): False}


def test_attention_finds_the_copied_token_where_it_is_predicted_and_later_where_it_is_read(
    tables: dict[str, pd.DataFrame],
):
    """The last layer by output and the one before by input, as Kobayashi et al. find; a copy is the diagonal."""
    board = alignment_board(alignment_rows(tables["examples"], tables["scores"], ["diagonal"]))
    lines = board[board["links"] == "argmax"].set_index(["explainer", "layer", "row"])
    assert set(lines["sentences"]) == {MOLECULES}
    assert set(lines["undefined"]) == {0}
    assert lines.loc[("diagonal", 0, "output"), "aer"] == 0.0
    assert lines.loc[("attention", 3, "output")]["aer"] < 0.1
    assert lines.loc[("attention", 2, "input")]["aer"] < 0.25
    assert lines.loc[("attention", 1, "output")]["aer"] > 0.8
    assert lines.loc[("attention", 3, "input")]["aer"] > 0.8


def test_attention_is_shared_evenly_between_source_and_prefix(tables: dict[str, pd.DataFrame]):
    """Cross-attention sums to 1 over the source, and self-attention over the prefix."""
    shares = tables["metrics"].query("explainer == 'attention'")
    assert set(shares["layer"]) == {1, 2, 3}
    assert shares["value"].tolist() == pytest.approx([0.5] * len(shares), abs=1e-5)


def test_the_tables_of_one_text_have_no_sides(model: Model, examples: list):
    protocol = EvaluationProtocol(include="all")
    (part, *_) = evaluate_batches(
        examples, model, {"attention": Attention()}, {"input_gradient": InputGradient()}, protocol
    )
    table = EXAMPLES.check(part.examples)
    assert set(table["source"]) == set(table["target_length"]) == {0}
    assert table["links"].isna().all()
    assert alignment_rows(table, part.scores).empty
