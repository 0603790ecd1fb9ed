from __future__ import annotations

import csv
import functools
import gzip
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import datasets.config
import numpy as np
import pytest

from tasks.agreement import linzen_files, linzen_splits
from tasks.agreement.linzen import Linzen
from tasks.agreement.sentence import Sentence

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = """sentence orig_sentence pos_sentence subj verb subj_pos has_rel has_nsubj verb_pos subj_index verb_index
    n_intervening last_intervening n_diff_intervening distance max_depth all_nouns nouns_up_to_verb""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def no_progress_bars():
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    yield
    if shown:
        datasets.enable_progress_bars()


@pytest.fixture
def read(tmp_path):
    return functools.partial(Linzen, test=4, validation=3, cache_dir=str(tmp_path / "cache"))


def simple(start: int, n: int) -> list[str]:
    return [f"{('VBZ', 'VBP')[i % 2]}\tthe {('key', 'keys')[i % 2]} of NN number{i}" for i in range(start, start + n)]


def write(path: Path, lines: list[str], compress: bool = False) -> str:
    content = "".join(f"{line}\n" for line in lines).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if compress else content)
    return str(path)


def folder(path: Path, **more: list[str]) -> str:
    files = {"val": simple(0, 20), "test_1": simple(100, 6), "test_2": simple(200, 4), **more}
    for name, lines in files.items():
        write(path / f"numpred.{name.replace('_', '.')}", lines)
    write(path / "README.txt", ["no data"])
    return str(path)


def archive(path: Path, source: str) -> str:
    with tarfile.open(path, "w:gz") as tar:
        tar.add(source, "rnn_agr_simple")
    return str(path)


def full_row(i: int, **changes: Any) -> dict[str, Any]:
    """A sentence with one attractor, "cabinet", after a plural subject; or with two after a singular one."""
    plural = i % 2
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "na")
    if plural:
        row |= {
            "sentence": f"n{i} keys to the cabinet in NNP are here",
            "pos_sentence": "CD NNS TO DT NN IN NNP VBP RB",
        }
    else:
        row |= {
            "sentence": f"n{i} key to NNS and doors in NNPS is here",
            "pos_sentence": "CD NN TO NNS CC NNS IN NNPS VBZ RB",
        }
    row |= {"subj_pos": ("NN", "NNS")[plural], "verb_pos": ("VBZ", "VBP")[plural], "subj_index": 2}
    return row | {"verb_index": 9 - plural, "n_diff_intervening": 2 - plural} | changes


def full(rows: list[dict[str, Any]]) -> list[str]:
    """Lines the way Python's csv module wrote the published file."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t")
    writer.writerow(COLUMNS)
    writer.writerows([row[column] for column in COLUMNS] for row in rows)
    return text.getvalue().split("\n")[:-1]


def words(split: datasets.Dataset) -> list[str]:
    return [" ".join(row) for row in split["words"]]


def sentences(splits: datasets.DatasetDict) -> dict[str, list[str]]:
    return {str(name): words(split) for name, split in splits.items()}


def everything(splits: dict[str, list[str]]) -> list[str]:
    return [sentence for split in splits.values() for sentence in split]


# --- the simple format


def test_rows_hold_words_label_count_and_source(tmp_path, read):
    splits = read(folder(tmp_path / "data")).splits()
    row = splits["train"].filter(lambda row: row["words"][-1] == "number201")[0]
    assert row == {
        "words": ["the", "keys", "of", "NN", "number201"],
        "label": 1,
        "subject": [],
        "attractors": [],
        "attractor_count": 2,
        "source": "numpred.test.2",
    }
    assert splits["train"].features["label"].names == ["singular", "plural"]
    assert set(splits["test"]["attractor_count"]) == {-1}


def test_sentences_are_the_rows_of_the_splits(tmp_path, read):
    linzen = read(folder(tmp_path / "data"))
    splits, sentences_ = linzen.splits(), linzen.sentences()
    assert {name: [" ".join(s.words) for s in split] for name, split in sentences_.items()} == sentences(splits)
    assert [s.label for s in sentences_["test"]] == splits["test"]["label"][:]
    assert all(s.natural == (s.construction == "numpred.val") for s in sentences_["train"])
    chosen = next(s for s in sentences_["train"] if s.words[-1] == "number201")
    assert chosen == Sentence(("the", "keys", "of", "NN", "number201"), 1, (), (), 2, "numpred.test.2", natural=False)


def test_without_a_training_file_held_out_rows_come_from_numpred_val_and_the_rest_is_for_training(tmp_path, read):
    splits = read(folder(tmp_path / "data")).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 23, "validation": 3, "test": 4}
    assert set(splits["test"]["source"]) == set(splits["validation"]["source"]) == {"numpred.val"}
    assert Counter(splits["train"]["source"]) == {"numpred.val": 13, "numpred.test.1": 6, "numpred.test.2": 4}


def test_a_published_training_file_is_the_training_split_and_changes_no_held_out_row(tmp_path, read):
    without = read(folder(tmp_path / "a")).splits()
    path = folder(tmp_path / "b", train=[*simple(300, 8), *simple(0, 20)], test=simple(400, 5))
    linzen = read(path)
    splits, counts = linzen.splits(), linzen.counts()
    assert words(splits["test"]) == words(without["test"])
    assert words(splits["validation"]) == words(without["validation"])
    assert set(splits["train"]["source"]) == {"numpred.train"}
    assert len(splits["train"]) == 8 + 20 - 7
    assert (counts["leaks"], counts["unused"]) == (7, 13 + 6 + 4 + 5)


def test_without_numpred_val_the_held_out_rows_come_from_numpred_test(tmp_path, read):
    path = folder(tmp_path / "data", test=simple(400, 9))
    (tmp_path / "data/numpred.val").unlink()
    splits = read(path).splits()
    assert set(splits["test"]["source"]) == set(splits["validation"]["source"]) == {"numpred.test"}


@pytest.mark.parametrize("compress", [False, True])
def test_a_single_file_is_split_by_the_seed(tmp_path, read, compress):
    path = write(tmp_path / ("numpred.val" + ".gz" * compress), simple(0, 20), compress)
    splits = read(path).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 13, "validation": 3, "test": 4}
    assert set(splits["train"]["source"]) == {"numpred.val"}
    assert sorted(everything(sentences(splits))) == sorted(line.split("\t")[1] for line in simple(0, 20))


def test_a_folder_an_archive_and_compressed_files_give_the_same_data(tmp_path, read):
    plain = read(folder(tmp_path / "data"))
    packed = read(archive(tmp_path / "rnn_agr_simple.tar.gz", plain.path))
    for file in sorted((tmp_path / "data").glob("numpred.*")):
        write(tmp_path / f"gz/rnn_agr_simple/{file.name}.gz", file.read_text().splitlines(), compress=True)
    zipped = read(str(tmp_path / "gz"))
    assert plain.digest == packed.digest == zipped.digest
    assert sentences(plain.splits()) == sentences(packed.splits()) == sentences(zipped.splits())


def test_the_same_seed_gives_the_same_splits_and_another_seed_different_ones(tmp_path, read):
    path = folder(tmp_path / "data")
    assert sentences(read(path).splits()) == sentences(read(path).splits())
    assert sentences(read(path).splits())["test"] != sentences(read(path, seed=1).splits())["test"]


def test_repeats_conflicts_and_leaks_are_dropped_and_counted(tmp_path, read):
    both = ["VBZ\tthe sheep", "VBP\tthe sheep", "VBP\tthe sheep"]
    linzen = read(folder(tmp_path / "data", val=[*simple(0, 20), *simple(0, 5), *both], test_1=simple(0, 20)))
    splits, counts = sentences(linzen.splits()), linzen.counts()
    assert all(len(set(split)) == len(split) for split in splits.values())
    assert "the sheep" not in everything(splits)
    assert not set(splits["train"]) & set(splits["test"] + splits["validation"])
    assert not set(splits["test"]) & set(splits["validation"])
    assert counts == {
        "read": 52,
        "train": 13 + 4,
        "validation": 3,
        "test": 4,
        "repeats": 5 + 13,
        "conflicts": 3,
        "leaks": 7,
        "unused": 0,
        "attractors_differ": 0,
    }


def test_if_repeats_are_kept_every_row_is_in_a_split(tmp_path, read):
    linzen = read(folder(tmp_path / "data", val=[*simple(0, 20), *simple(0, 20)]), drop_repeats=False)
    assert linzen.counts()["train"] == 40 + 10 - 7
    assert sum(map(len, linzen.splits().values())) == 50


def test_a_sentence_of_val_that_occurs_in_test_k_has_k_attractors(tmp_path, read):
    linzen = read(folder(tmp_path / "data", test_3=simple(0, 20)))
    splits = linzen.splits()
    assert set(splits["test"]["attractor_count"]) == set(splits["validation"]["attractor_count"]) == {3}
    assert splits["test"].column_names == ["words", "label", "subject", "attractors", "attractor_count", "source"]


def test_a_word_may_contain_a_no_break_space(tmp_path, read):
    path = write(tmp_path / "numpred.val", [*simple(0, 20), "VBZ\tthe a\u00a0b \u2028"])
    assert "the a\u00a0b \u2028" in everything(sentences(read(path).splits()))


# --- the full format


@pytest.mark.parametrize("name", ["agr_50_mostcommon_10K.tsv", "agr_50_mostcommon_10K.tsv.gz", "folder"])
def test_the_full_file_gives_subject_and_attractors(tmp_path, read, name):
    file = "agr_50_mostcommon_10K.tsv" if name == "folder" else name
    path = write(tmp_path / "data" / file, full([full_row(i) for i in range(200)]), file.endswith("gz"))
    splits = read(str(Path(path).parent) if name == "folder" else path).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 20, "validation": 2, "test": 178}
    for row in splits["test"]:
        assert isinstance(row, dict)
        last, subject, attractors, count = ("NNPS", "key", ["NNS", "doors"], 2)
        if row["label"] == 1:
            last, subject, attractors, count = ("NNP", "keys", ["cabinet"], 1)
        assert row["words"][-1] == last
        assert [row["words"][index] for index in row["subject"]] == [subject]
        assert [row["words"][index] for index in row["attractors"]] == attractors
        assert row["attractor_count"] == count
        assert row["source"] == "agr_50_mostcommon_10K.tsv"


def test_the_full_file_is_split_as_in_the_papers_code(tmp_path, read):
    numbers = list(range(200))
    np.random.RandomState(42).shuffle(numbers)  # a list, as theirs is
    linzen = read(write(tmp_path / "full.tsv", full([full_row(i) for i in range(200)])), drop_repeats=False)
    splits = {name: [int(row[0][1:]) for row in split["words"]] for name, split in linzen.splits().items()}
    assert splits == {"train": numbers[:20], "validation": numbers[20:22], "test": numbers[22:]}


def test_repeats_of_the_full_file_are_dropped_before_the_split(tmp_path, read):
    linzen = read(write(tmp_path / "full.tsv", full([full_row(i % 200) for i in range(300)])))
    counts = linzen.counts()
    assert (counts["repeats"], counts["train"], counts["validation"], counts["test"]) == (100, 20, 2, 178)


def test_attractors_that_differ_from_the_files_count_are_kept_and_counted(tmp_path, read):
    rows = [full_row(i, **({"n_diff_intervening": 4} if i < 3 else {})) for i in range(200)]
    linzen = read(write(tmp_path / "full.tsv", full(rows)))
    assert linzen.counts()["attractors_differ"] == 3
    assert linzen.counts()["read"] == sum(map(len, linzen.splits().values())) == 200


def test_a_quoted_field_is_read_as_the_csv_module_wrote_it(tmp_path, read):
    rows = [full_row(i) for i in range(200)]
    rows[0] |= {"sentence": 'n0 key to " and doors in NNPS is here'}
    splits = read(write(tmp_path / "full.tsv", full(rows))).splits()
    assert 'n0 key to " and doors in NNPS' in everything(sentences(splits))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verb_index": 11}, "expected 1 <= subj_index < verb_index <= 10 words and as many tags"),
        ({"verb_index": 2}, "expected 1 <= subj_index < verb_index"),
        ({"subj_index": 0}, "expected 1 <= subj_index < verb_index"),
        ({"pos_sentence": "CD NN"}, "expected 1 <= subj_index < verb_index"),
        ({"verb_index": 8}, "expected 'VBZ' or 'VBP' at verb_index 8, subj_pos at subj_index 2"),
        ({"subj_index": 1}, "expected 'VBZ' or 'VBP' at verb_index 9, subj_pos at subj_index 1"),
        ({"verb_pos": "VBD"}, "expected 'VBZ' or 'VBP' at verb_index 9"),
        ({"verb_index": "nine"}, "expected 18 fields with whole numbers for indices and counts"),
    ],
)
def test_an_error_in_a_full_row_names_file_and_line(tmp_path, read, changes, message):
    path = write(tmp_path / "full.tsv", full([full_row(1), full_row(0, **changes)]))
    with pytest.raises(ValueError, match=r"full\.tsv:3: ") as error:
        read(path).splits()
    assert message in str(error.value)


# --- error messages


@pytest.mark.parametrize(
    "line", ["", "VBZ", "VBZ\t", "VBZ the key", "VBD\tthe key", "VBZ\tthe  key", "VBZ\tthe key\t", "VBZ\t the key"]
)
def test_an_error_in_a_line_names_file_and_line(tmp_path, read, line):
    path = folder(tmp_path / "data", val=[*simple(0, 16), line])
    with pytest.raises(ValueError, match="expected") as error:
        read(path).splits()
    assert str(error.value) == f"{path}/numpred.val:17: expected 'VBZ' or 'VBP', a tab and words, got '{line}'"


def test_an_error_leaves_no_partial_data_in_the_cache(tmp_path, read):
    path = write(tmp_path / "numpred.val", [*simple(0, 16), "VBD\tthe key"])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"numpred\.val:17: expected 'VBZ' or 'VBP'"):
            read(path).splits()
    write(tmp_path / "numpred.val", simple(0, 16))
    assert read(path).counts()["read"] == 16


def test_an_unknown_header_says_what_is_missing(tmp_path, read):
    path = write(tmp_path / "other.tsv", ["sentence\tverb_pos\tsubj_index", "a\tVBZ\t1"])
    with pytest.raises(
        ValueError, match=r"other\.tsv:1: expected .* or a header with pos_sentence, subj_pos, verb_index"
    ):
        read(path).splits()


def test_text_that_is_not_utf_8_is_named(tmp_path, read):
    path = tmp_path / "numpred.val"
    path.write_bytes("VBZ\tthe key\nVBZ\tthe café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"numpred\.val:2: expected UTF-8 text, got 'byte 0xe9'"):
        read(str(path)).splits()


def test_a_missing_path_says_what_to_pass(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"nowhere: expected a file or a folder, found none; give task\.path="):
        read(str(tmp_path / "nowhere")).splits()


def test_a_folder_without_data_says_what_to_pass(tmp_path, read):
    with pytest.raises(
        FileNotFoundError, match=r"expected numpred\.\* or agr_50_mostcommon_10K\.tsv in the folder; give"
    ):
        read(str(tmp_path)).splits()


def test_a_folder_with_both_formats_asks_for_one(tmp_path, read):
    folder(tmp_path)
    write(tmp_path / "agr_50_mostcommon_10K.tsv", full([full_row(0)]))
    with pytest.raises(ValueError, match=r"expected one format, found numpred\.test\.1 and agr_50_mostcommon_10K\.tsv"):
        read(str(tmp_path)).splits()


def test_an_archive_without_data_says_so(tmp_path, read):
    write(tmp_path / "data/README.txt", ["no data"])
    with pytest.raises(ValueError, match=r"expected numpred\.\* files in the archive, found none; give task\.path="):
        read(archive(tmp_path / "a.tar.gz", str(tmp_path / "data"))).splits()


@pytest.mark.parametrize("compress", [False, True])
def test_an_empty_file_is_named(tmp_path, read, compress):
    path = write(tmp_path / "numpred.val", [], compress)
    with pytest.raises(ValueError, match=r"numpred\.val: expected sentences, the file is empty; copy or download"):
        read(path).splits()


@pytest.mark.parametrize("keep", [15, 60, -4])
@pytest.mark.parametrize("tar", [False, True])
def test_a_truncated_download_is_named(tmp_path, read, tar, keep):
    path = tmp_path / "data.gz"
    if tar:
        archive(path, folder(tmp_path / "data"))
    else:
        write(path, simple(0, 20), compress=True)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"data\.gz: expected a whole gzip file, got '.*'; copy or download it again"):
        read(str(path)).splits()


def test_data_with_only_one_number_is_named(tmp_path, read):
    path = write(tmp_path / "numpred.val", simple(0, 40)[1::2])
    with pytest.raises(ValueError, match=r"numpred\.val: expected both numbers, every verb is plural \(VBP\)"):
        read(path).splits()


def test_the_error_for_too_few_sentences_names_the_sizes(tmp_path, read):
    path = write(tmp_path / "numpred.val", simple(0, 7))
    with pytest.raises(
        ValueError, match=r"expected more than 7 different sentences for test=4 and validation=3, got 7"
    ):
        read(path).splits()
    with pytest.raises(ValueError, match="expected 100 different sentences or more for 10 %"):
        read(write(tmp_path / "full.tsv", full([full_row(i) for i in range(9)]))).splits()


def test_a_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="expected test and validation of 1 or more, got 0 and 1000"):
        Linzen("x", test=0)


# --- the cache and the digest


def test_a_changed_file_is_read_again(tmp_path, read):
    path = write(tmp_path / "numpred.val", simple(0, 20))
    before = read(path)
    assert "number0" in " ".join(everything(sentences(before.splits())))
    stat = Path(path).stat()
    write(tmp_path / "numpred.val", [line.replace("number", "nombre") for line in simple(0, 20)])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same time: only the content differs
    after = read(path)
    assert "number0" not in " ".join(everything(sentences(after.splits())))
    assert before.digest != after.digest


def test_a_second_read_comes_from_the_cache(tmp_path, read, monkeypatch):
    path = folder(tmp_path / "data")
    first = read(path).splits()
    monkeypatch.setattr(linzen_files, "rows", lambda *_: pytest.fail("read again"))
    assert sentences(read(path).splits()) == sentences(first)
    assert first["train"].cache_files[0]["filename"].startswith(str(tmp_path / "cache"))


def test_the_digest_depends_on_content_and_splits_but_not_on_location(tmp_path, read):
    here, there = read(folder(tmp_path / "here")), read(folder(tmp_path / "there/else"))
    assert here.digest == there.digest
    others = [read(here.path, **{key: 2}) for key in ("seed", "test", "validation")]
    others += [read(here.path, drop_repeats=False), read(folder(tmp_path / "more", test_3=simple(500, 1)))]
    assert len({here.digest, *(other.digest for other in others)}) == 6


def test_two_processes_at_once_read_the_same(tmp_path):
    path = folder(tmp_path / "data", val=simple(0, 5000))
    code = (
        "from tasks.agreement.linzen import Linzen; "
        f"print(hash(tuple(Linzen({path!r}, cache_dir={str(tmp_path / 'cache')!r}).splits()['test'][5]['words'])))"
    )
    run = functools.partial(
        subprocess.Popen, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    processes = [run([sys.executable, "-c", code], stderr=subprocess.DEVNULL) for _ in range(2)]
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert printed[0] == printed[1] != b""


# --- URLs


@pytest.fixture
def server(tmp_path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    (tmp_path / "www").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_a_url_is_downloaded_once_and_then_needs_no_network(tmp_path, read, server):
    local = read(folder(tmp_path / "data"))
    archive(tmp_path / "www/rnn_agr_simple.tar.gz", local.path)
    url = f"http://127.0.0.1:{server.server_port}/rnn_agr_simple.tar.gz"
    assert sentences(read(url).splits()) == sentences(local.splits())
    assert read(url).digest == local.digest
    server.shutdown()
    server.server_close()
    assert sentences(read(url).splits()) == sentences(local.splits())


def test_a_url_that_cannot_be_reached_says_so_at_once(read, server):
    port = server.server_port
    started = time.monotonic()
    for url in (f"http://127.0.0.1:{port}/absent.tar.gz", "http://127.0.0.1:9/rnn_agr_simple.tar.gz"):
        with pytest.raises(ConnectionError, match=r"cannot be reached \(.+\); give task\.path=<local copy>") as error:
            read(url).splits()
        assert str(error.value).startswith(url)
    assert time.monotonic() - started < 8


def test_offline_mode_names_the_url_and_the_remedy(read, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        ConnectionError, match=r"rnn_agr_simple\.tar\.gz: cannot be reached .*; give task\.path=<local copy>"
    ):
        read(linzen_files.SIMPLE_URL).splits()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    path = Path(os.environ.get("ASSAY_SHARED", ROOT.parent / "shared")) / "data/linzen"
    if not path.is_dir():
        pytest.skip(f"{path} is absent: set ASSAY_SHARED to the folder that holds data/linzen")
    linzen = Linzen(str(path), cache_dir=str(tmp_path_factory.mktemp("cache")))
    return linzen, linzen.sentences()


def test_every_line_of_the_real_data_is_read_and_accounted_for(real):
    counts = real[0].counts()
    assert counts == {
        "read": 80_522,
        "train": 72_416,
        "validation": 1_000,
        "test": 3_000,
        "repeats": 3_852,
        "conflicts": 0,
        "leaks": 254,
        "unused": 0,
        "attractors_differ": 0,
    }
    assert sum(counts[name] for name in (*linzen_splits.SPLITS, *linzen_splits.LEFT_OUT)) == counts["read"]


def test_no_held_out_sentence_of_the_real_data_is_trained_on(real):
    train, validation, test = ({s.words for s in real[1][name]} for name in linzen_splits.SPLITS)
    assert (len(train), len(validation), len(test)) == (72_416, 1_000, 3_000)
    assert not train & test
    assert not train & validation
    assert not test & validation


def test_the_real_test_set_is_the_natural_mix(real):
    train, validation, test = (real[1][name] for name in linzen_splits.SPLITS)
    assert {s.construction for s in [*validation, *test]} == {"numpred.val"}
    assert Counter(s.label for s in test) == {0: 1983, 1: 1017}
    assert Counter(s.natural for s in train) == {True: 9_912, False: 62_504}
