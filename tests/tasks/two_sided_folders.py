"""Folders of tiny encoder-decoders with tokenizers that split words into pieces, as `save_pretrained` writes them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer, UnigramTrainer
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast

from harness.tracing.batch import Example, TwoSided

SENTENCES = [("das stimmt nicht !", "that is not true !"), ("herr kommissar , danke .", "thank you , commissioner .")]
GOLD = ["1-1 2-2 3-3 2p4 4-5", "1p4 2-4 3-3 4-1 5-5"]  # from 1; (kommissar, commissioner) and so on
SIZES = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 40,
    "init_std": 0.5,
}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_heads": 2, "num_layers": 2, "num_decoder_layers": 2}
SPECIAL = ["<pad>", "</s>", "<unk>", "<s>"]
LANGUAGES = ["deu_Latn", "eng_Latn"]


def sides_of(example: Example) -> TwoSided:
    """What an example for an encoder-decoder has besides."""
    assert example.sides is not None
    return example.sides


def words_split(
    texts: Iterable[str], size: int = 60, more: Iterable[str] = (), unigram: bool = False, whole: bool = False
) -> Tokenizer:
    """A tokenizer of pieces learnt from the texts; a space is part of the piece that follows it."""
    inner = Tokenizer(Unigram() if unigram else BPE(unk_token="<unk>"))
    inner.pre_tokenizer = Metaspace(split=not whole)
    options = {"vocab_size": size, "special_tokens": [*SPECIAL, *more], "show_progress": False}
    inner.train_from_iterator(texts, UnigramTrainer(unk_token="<unk>", **options) if unigram else BpeTrainer(**options))
    return inner


def tokenizer(texts: Iterable[str] = (), size: int = 60, whole: bool = False) -> PreTrainedTokenizerFast:
    """A fast tokenizer that ends each text with </s>; a piece may span words with `whole`."""
    inner = words_split(texts or [text for pair in SENTENCES for text in pair], size, whole=whole)
    inner.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=40
    )


def save_module(folder: Path, kind: str, size: int, **options: Any) -> Path:
    """The weights of a tiny random encoder-decoder of some type; the decoder starts from <pad>."""
    named = SIZES if kind != "t5" else T5
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 0}
    config = AutoConfig.for_model(kind, vocab_size=size, **{**named, **special, "forced_eos_token_id": None, **options})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager")
    module.eval().save_pretrained(folder)
    return folder


def saved(folder: Path, kind: str = "marian", texts: Iterable[str] = (), size: int = 60, **options: Any) -> Path:
    """The folder of a tiny random encoder-decoder with a fast tokenizer."""
    tokens = tokenizer(texts, size)
    tokens.save_pretrained(folder)
    return save_module(folder, kind, len(tokens), **options)


def with_languages(folder: Path, kind: str = "nllb", **options: Any) -> Path:
    """The folder of a tiny M2M100 with NLLB's tokenizer, or of a tiny mBART with its own: both mark languages."""
    folder.mkdir()
    codes, name, module = {
        "nllb": (LANGUAGES, "NllbTokenizer", "m2m_100"),
        "mbart": (["de_DE", "en_XX"], "MBartTokenizer", "mbart"),
    }[kind]
    inner = words_split((text for pair in SENTENCES for text in pair), more=codes, unigram=kind == "mbart")
    inner.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, **special}))
    return save_module(folder, module, inner.get_vocab_size(), **{"decoder_start_token_id": 1, **options})


def marian_of_sentencepiece(folder: Path) -> Path:
    """The folder of a tiny Marian with Marian's own tokenizer, as on the hub: two SentencePiece models, no fast one."""
    import sentencepiece

    folder.mkdir()
    vocabulary = {"</s>": 0, "<unk>": 1}
    for side, name in enumerate(("source", "target")):
        text = folder / f"{name}.txt"
        text.write_text("\n".join(pair[side] for pair in SENTENCES))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(folder / name), vocab_size=30, hard_vocab_limit=False, minloglevel=2
        )
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
        processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.spm"))
        for index in range(processor.get_piece_size()):
            vocabulary.setdefault(processor.id_to_piece(index), len(vocabulary))
        text.unlink()
        (folder / f"{name}.vocab").unlink()
    vocabulary["<pad>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MarianTokenizer"}))
    padding = {"pad_token_id": vocabulary["<pad>"], "decoder_start_token_id": vocabulary["<pad>"], "eos_token_id": 0}
    return save_module(folder, "marian", len(vocabulary), **padding)
