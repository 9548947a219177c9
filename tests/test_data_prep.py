"""Manifests: what they hold, who is withheld, when they are made anew, and how every fault is named."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpora import RATE, SENTENCES, folder_of, shared_data, sound, write_corpus

import data_prep
from errors import RecipeError


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "data")


def prepared(corpus, **options):
    options = {"valid_speakers": ["p226"], **options}
    paths = data_prep.prepare(corpus, corpus.parent / "save", **options)
    return {name: json.loads(path.read_text()) for name, path in paths.items()}


def complaint(corpus, **options):
    with pytest.raises(RecipeError) as caught:
        prepared(corpus, **options)
    return str(caught.value)


def path_of(corpus, kind, name):
    return corpus / folder_of(kind, name) / f"{name}{'.txt' if kind == 'text' else '.wav'}"


def test_entry_and_split(corpus):
    manifests = prepared(corpus)
    assert {name: list(entries) for name, entries in manifests.items()} == {
        "train": ["p287_001", "p287_002"],
        "valid": ["p226_001", "p226_002"],
        "test": ["p232_001", "p257_001"],
    }
    assert manifests["valid"]["p226_001"] == {
        "noisy_wav": "{data_root}/noisy_trainset_28spk_wav_16k/p226_001.wav",
        "clean_wav": "{data_root}/clean_trainset_28spk_wav_16k/p226_001.wav",
        "length": 0.5,
        "words": "PLEASE CALL STELLA",
        "phones": "P L IY Z K AO L S T EH L AH",
        "speaker": "p226",
    }
    assert manifests["valid"]["p226_002"]["words"] == "IT'S A FULL TIME JOB ISN'T IT"


def test_the_data_is_left_alone(corpus):
    before = sorted((str(path), path.stat().st_mtime_ns) for path in corpus.rglob("*"))
    prepared(corpus)
    assert before == sorted((str(path), path.stat().st_mtime_ns) for path in corpus.rglob("*"))


@pytest.mark.parametrize("place", ["", "logfiles"])
def test_noise_and_snr_come_from_the_log(corpus, place):
    (corpus / place).mkdir(exist_ok=True)
    (corpus / place / "log_trainset_28spk.txt").write_text(
        "utt noise snr\np226_001 cafe 5\np287_001 babble 12.5\n"
    )
    manifests = prepared(corpus)
    assert (manifests["valid"]["p226_001"]["noise"], manifests["valid"]["p226_001"]["snr"]) == (
        "cafe",
        5.0,
    )
    assert manifests["train"]["p287_001"]["snr"] == 12.5
    assert "snr" not in manifests["train"]["p287_002"]


def test_folders_without_16k_serve_if_they_are_16_khz(tmp_path):
    corpus = write_corpus(tmp_path / "data", suffix="")
    assert (
        prepared(corpus)["test"]["p232_001"]["noisy_wav"]
        == "{data_root}/noisy_testset_wav/p232_001.wav"
    )


def test_test_speakers_narrow_the_test(corpus):
    assert list(prepared(corpus, test_speakers=["p257"])["test"]) == ["p257_001"]
    assert "p232 (1), p257 (1)" in complaint(corpus, test_speakers=["p999"])


def test_speaker_lists_may_be_text():
    assert (
        data_prep.names("[p226, p287]")
        == data_prep.names("p226 p287")
        == data_prep.names(["p226", "p287"])
    )
    assert data_prep.names(None) == data_prep.names("[]") == []


def test_unchanged_data_is_not_looked_at_again(corpus, monkeypatch):
    first = prepared(corpus)
    monkeypatch.setattr(data_prep, "survey", lambda *_: pytest.fail("inspected again"))
    assert prepared(corpus) == first


def test_changed_settings_data_or_manifests_are_noticed(corpus, tmp_path):
    prepared(corpus)
    assert "p287_001" in prepared(corpus, valid_speakers=["p287"])["valid"]
    prepared(corpus)
    path_of(corpus, "text", "p226_001").write_text(
        "Please call Steven.\n"
    )  # as long as before: the time tells
    assert prepared(corpus)["valid"]["p226_001"]["words"] == "PLEASE CALL STEVEN"
    text = path_of(corpus, "text", "p226_001")
    time = text.stat().st_mtime_ns
    text.write_text("Please call Bob.\n")
    os.utime(text, ns=(time, time))  # as old as before: the size tells
    assert prepared(corpus)["valid"]["p226_001"]["words"] == "PLEASE CALL BOB"
    write_corpus(corpus, {"p287_003": "Hello."})
    assert "p287_003" in prepared(corpus)["train"]
    (tmp_path / "save" / "train.json").write_text("{}")
    assert "p287_003" in prepared(corpus)["train"]
    words = tmp_path / "words.txt"
    words.write_text("HELLO HH AY\n")
    assert prepared(corpus, extra_lexicon=words)["train"]["p287_003"]["phones"] == "HH AY"
    words.write_text("HELLO B AY\n")
    assert prepared(corpus, extra_lexicon=words)["train"]["p287_003"]["phones"] == "B AY"


def test_a_failed_check_leaves_no_manifest_to_be_used(corpus, tmp_path):
    prepared(corpus)
    path_of(corpus, "noisy", "p226_001").unlink()
    assert "p226_001: has no noisy file" in complaint(corpus)
    assert "p226_001: has no noisy file" in complaint(corpus)  # and still the second time


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1001])


FAULTS = {
    "has no noisy file": lambda corpus: path_of(corpus, "noisy", "p226_001").unlink(),
    "has no clean file": lambda corpus: path_of(corpus, "clean", "p226_001").unlink(),
    "has no text file": lambda corpus: path_of(corpus, "text", "p226_001").unlink(),
    "holds no words": lambda corpus: path_of(corpus, "text", "p226_001").write_text(" ... \n"),
    "is not UTF-8 text": lambda corpus: path_of(corpus, "text", "p226_001").write_bytes(
        b"\xff\xfe\x00"
    ),
    "is cut short": lambda corpus: cut_short(path_of(corpus, "noisy", "p226_001")),
    "cannot be read as sound": lambda corpus: path_of(corpus, "noisy", "p226_001").write_bytes(b""),
    "holds no samples": lambda corpus: rewrite(corpus, np.zeros(0), RATE),
    "has 2 channels": lambda corpus: rewrite(corpus, np.zeros((8000, 2)), RATE),
    "has a sample rate of 48000 Hz": lambda corpus: rewrite(corpus, sound("x"), 48000),
    "clean has 8000 samples, noisy 7999": lambda corpus: rewrite(corpus, sound("x")[:-1], RATE),
    "not finite": lambda corpus: rewrite(corpus, np.full(8000, np.nan), RATE, "FLOAT"),
}


def rewrite(corpus, signal, rate, subtype="PCM_16"):
    soundfile.write(path_of(corpus, "noisy", "p226_001"), signal, rate, subtype=subtype)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_its_file(corpus, fault):
    FAULTS[fault](corpus)
    message = complaint(corpus)
    assert fault in message and "p226_001" in message and "1 problem(s)" in message


def test_finite_float_files_pass(corpus):
    rewrite(corpus, sound("x"), RATE, "FLOAT")
    assert "p226_001" in prepared(corpus)["valid"]


def test_wrong_rate_names_the_command_that_mends_it(tmp_path):
    corpus = write_corpus(tmp_path / "data", suffix="", rate=48000)
    message = complaint(corpus)
    assert "12 problem(s)" in message and "data_prep.py resample" in message
    assert data_prep.main(["resample", "--data_folder", str(corpus)]) == 0
    assert prepared(corpus)["train"]["p287_001"]["length"] == 0.5


def test_all_problems_come_in_one_error(corpus):
    for fault, name in (("noisy", "p226_001"), ("clean", "p287_002"), ("text", "p257_001")):
        path_of(corpus, fault, name).unlink()
    path_of(corpus, "text", "p232_001").write_text("Xqzvb kjhgfdsa.\n")
    message = complaint(corpus, valid_speakers=["p999"])
    assert all(
        name in message for name in ("p226_001", "p287_002", "p257_001", "3 problem(s)", "p999")
    )
    assert "KJHGFDSA (in p232_001)" in message and "--extra_lexicon" in message


def test_unknown_words_are_listed_in_a_file_to_fill_in(corpus, tmp_path):
    path_of(corpus, "text", "p232_001").write_text("Call kjhgfdsa, xqzvbnm.\n")
    assert "2 word(s) have no pronunciation" in complaint(corpus)
    template = tmp_path / "save" / "unknown_words.txt"
    assert template.read_text() == "KJHGFDSA\nXQZVBNM\n"
    assert "line 1: 'KJHGFDSA' has no phones" in complaint(corpus, extra_lexicon=template)
    template.write_text("KJHGFDSA K AA\nXQZVBNM Z\n")
    assert prepared(corpus, extra_lexicon=template)["test"]["p232_001"]["phones"] == "K AO L K AA Z"


def test_long_utterances_are_refused(corpus):
    assert "lasts 0.5 s, longer than max_seconds=0.4" in complaint(corpus, max_seconds=0.4)


@pytest.mark.parametrize(
    "speakers, said",
    [
        (["p226", "p287"], "No utterance is left to train on"),
        (["p226", "p999"], "no speaker p999"),
        ([], "nothing to validate on"),
        (["p232"], "no speaker p232"),
    ],
)
def test_a_split_that_cannot_be_trained_names_speakers_and_remedy(corpus, speakers, said):
    message = complaint(corpus, valid_speakers=speakers)
    assert (
        said in message and "p226 (2), p287 (2)" in message and "--valid_speakers=[p226]" in message
    )


def test_an_utterance_in_training_and_test_is_a_leak(corpus):
    for kind, (train, test) in (
        ("clean", ("clean_trainset_28spk_wav_16k", "clean_testset_wav_16k")),
        ("noisy", ("noisy_trainset_28spk_wav_16k", "noisy_testset_wav_16k")),
        ("text", ("trainset_28spk_txt", "testset_txt")),
    ):
        source = path_of(corpus, kind, "p287_001")
        shutil.copy(source, corpus / test / source.name)
    assert "training and in the test folders" in complaint(corpus)


def test_missing_folders_are_all_named(corpus, tmp_path):
    shutil.rmtree(corpus / "noisy_testset_wav_16k")
    shutil.rmtree(corpus / "trainset_28spk_txt")
    message = complaint(corpus)
    assert (
        "noisy_testset_wav_16k (or noisy_testset_wav" in message and "trainset_28spk_txt" in message
    )
    assert "data_prep.py download" in message
    with pytest.raises(RecipeError, match="no such folder"):
        data_prep.prepare(tmp_path / "nowhere", tmp_path / "save")


def test_command_line_prints_errors_without_traceback(corpus, tmp_path):
    command = [
        sys.executable,
        "data_prep.py",
        "manifests",
        f"--data_folder={corpus}",
        f"--save_folder={tmp_path / 's'}",
    ]
    root = Path(data_prep.__file__).parent
    failed = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert failed.returncode == 2 and "Traceback" not in failed.stderr
    assert "--valid_speakers=[p226]" in failed.stderr
    passed = subprocess.run(
        [*command, "--valid_speakers=[p226]"], cwd=root, capture_output=True, text=True
    )
    assert passed.returncode == 0 and "train: 2 utterances" in passed.stdout


@pytest.mark.parametrize("command", ["download", "resample", "mini", "mix", "manifests"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as left:
        data_prep.main([command, "--help"])
    assert left.value.code == 0 and "--data_folder" in capsys.readouterr().out


def test_real_voicebank_or_a_stand_in(tmp_path):
    corpus = shared_data("voicebank_real")
    if corpus is None:
        warnings.warn(
            "no real VoiceBank files at hand: a synthetic tree with such sentences stands in"
        )
        corpus = write_corpus(tmp_path / "data", SENTENCES)
    paths = data_prep.prepare(corpus, tmp_path / "save", valid_speakers=["p226"])
    manifests = {name: json.loads(path.read_text()) for name, path in paths.items()}
    sounds = len(list(corpus.glob("noisy_*_16k/*.wav")))
    assert sum(map(len, manifests.values())) == sounds
    assert {entry["speaker"] for entry in manifests["train"].values()} == {"p287"}
    entry = manifests["train"]["p287_001"]
    wav = entry["noisy_wav"].replace("{data_root}", str(corpus))
    assert entry["length"] == pytest.approx(soundfile.info(wav).duration)


def test_bad_utterances_are_left_out_and_listed_on_demand(corpus, caplog):
    write_corpus(corpus, {"p287_003": "Hello."})
    path_of(corpus, "noisy", "p287_001").unlink()
    soundfile.write(path_of(corpus, "clean", "p232_001"), sound("x", rate=8000), 8000)
    assert "2 problem(s)" in complaint(corpus)
    manifests = prepared(corpus, on_bad_utterance="skip")
    assert list(manifests["train"]) == ["p287_002", "p287_003"] and list(manifests["test"]) == [
        "p257_001"
    ]
    listed = (corpus.parent / "save" / "bad_utterances.txt").read_text().splitlines()
    assert (
        len(listed) == 2 and "p287_001" in listed[0] and "2 problem(s) are left out" in caplog.text
    )
    assert "2 problem(s)" in complaint(corpus)  # the stricter setting looks again
    assert "error, skip" in complaint(corpus, on_bad_utterance="ignore")
