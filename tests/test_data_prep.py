"""Manifests: what they hold, who is withheld, when they are made again, how faults are named."""

import json
import os
import re
import shlex
import shutil
import warnings

import numpy as np
import pytest
import soundfile
from corpora import RATE, SENTENCES, folder_of, shared_data, sound, write_corpus

import data_prep
from corpus import manifests
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
    entry = manifests["valid"]["p226_001"]
    assert (entry["noise"], entry["snr"]) == ("cafe", 5.0)
    assert manifests["train"]["p287_001"]["snr"] == 12.5
    assert "snr" not in manifests["train"]["p287_002"]


def test_folders_without_16k_serve_if_they_are_16_khz(tmp_path):
    corpus = write_corpus(tmp_path / "data", suffix="")
    entry = prepared(corpus)["test"]["p232_001"]
    assert entry["noisy_wav"] == "{data_root}/noisy_testset_wav/p232_001.wav"


def test_speaker_lists_may_be_text():
    for typed in ("[p226, p287]", "p226 p287", ["p226", "p287"]):
        assert data_prep.names(typed) == ["p226", "p287"]
    assert data_prep.names(None) == data_prep.names("[]") == []
    assert data_prep.names([174, "251,84"]) == ["174", "251", "84"] and data_prep.names(7) == ["7"]
    assert data_prep.names(["Anna Maria"]) == ["Anna Maria"]


def test_unchanged_data_is_not_looked_at_again(corpus, monkeypatch):
    first = prepared(corpus)
    monkeypatch.setattr(manifests, "inspect", lambda *_, **__: pytest.fail("inspected again"))
    assert prepared(corpus) == first


def test_changed_settings_data_or_manifests_are_noticed(corpus, tmp_path):
    prepared(corpus)
    assert "p287_001" in prepared(corpus, valid_speakers=["p287"])["valid"]
    prepared(corpus)
    text = path_of(corpus, "text", "p226_001")
    text.write_text("Please call Steven.\n")  # as long as before: the time tells
    assert prepared(corpus)["valid"]["p226_001"]["words"] == "PLEASE CALL STEVEN"
    time = text.stat().st_mtime_ns
    text.write_text("Please call Bob.\n")
    os.utime(text, ns=(time, time))  # as old as before: the size tells
    assert prepared(corpus)["valid"]["p226_001"]["words"] == "PLEASE CALL BOB"
    write_corpus(corpus, {"p287_003": "Hello."})
    assert "p287_003" in prepared(corpus)["train"]
    (tmp_path / "save" / "train.json").unlink()
    assert "p287_003" in prepared(corpus)["train"]
    words = tmp_path / "words.txt"
    words.write_text("HELLO HH AY\n")
    assert prepared(corpus, extra_lexicon=words)["train"]["p287_003"]["phones"] == "HH AY"
    words.write_text("HELLO B AY\n")
    assert prepared(corpus, extra_lexicon=words)["train"]["p287_003"]["phones"] == "B AY"


def test_what_a_user_typed_is_not_overwritten(corpus, tmp_path):
    path_of(corpus, "text", "p232_001").write_text("The woodcutters.\n")
    prepared(corpus)
    words, train = tmp_path / "save" / "derived_words.txt", tmp_path / "save" / "train.json"
    words.write_text("WOODCUTTERS Z AO R B\n")
    found = prepared(corpus, extra_lexicon=words)
    assert found["test"]["p232_001"]["phones"] == "DH AH Z AO R B"
    assert words.read_text() == "WOODCUTTERS Z AO R B\n"
    train.write_text(train.read_text().replace("p287", "sam"))
    assert "train.json was changed by hand" in complaint(corpus, extra_lexicon=words)
    assert "sam" in train.read_text()


def test_a_foreign_manifest_is_not_overwritten(corpus, tmp_path):
    (tmp_path / "save").mkdir()
    (tmp_path / "save" / "valid.json").write_text('{"mine": {}}')
    assert "valid.json was changed by hand, or is not of this recipe" in complaint(corpus)
    assert not (tmp_path / "save" / "train.json").exists()


def test_a_failed_check_leaves_no_manifest_to_be_used(corpus, tmp_path):
    prepared(corpus)
    path_of(corpus, "noisy", "p226_001").unlink()
    assert "p226_001: the noisy file is missing" in complaint(corpus)
    assert "p226_001: the noisy file is missing" in complaint(corpus)  # and still the second time


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1001])


FAULTS = {
    "noisy file is missing": lambda corpus: path_of(corpus, "noisy", "p226_001").unlink(),
    "clean file is missing": lambda corpus: path_of(corpus, "clean", "p226_001").unlink(),
    "text file is missing": lambda corpus: path_of(corpus, "text", "p226_001").unlink(),
    "holds no words": lambda corpus: spoil(corpus, "text", b" ... \n"),
    "line 2: this is not UTF-8": lambda corpus: spoil(corpus, "text", b"ok\n\xff\xfe\x00"),
    "is cut short": lambda corpus: cut_short(path_of(corpus, "noisy", "p226_001")),
    "cannot be read as sound": lambda corpus: spoil(corpus, "noisy", b""),
    "holds no samples": lambda corpus: rewrite(corpus, np.zeros(0), RATE),
    "has a sample rate of 48000 Hz": lambda corpus: rewrite(corpus, sound("x"), 48000),
    "clean has 8000 samples, noisy 7999": lambda corpus: rewrite(corpus, sound("x")[:-1], RATE),
    "not finite": lambda corpus: rewrite(corpus, np.full(8000, np.nan), RATE, "FLOAT"),
}


def spoil(corpus, kind, content):
    path_of(corpus, kind, "p226_001").write_bytes(content)


def rewrite(corpus, signal, rate, subtype="PCM_16"):
    soundfile.write(path_of(corpus, "noisy", "p226_001"), signal, rate, subtype=subtype)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_its_file(corpus, fault):
    FAULTS[fault](corpus)
    message = complaint(corpus)
    assert fault in message and "p226_001" in message and "1 problem(s)" in message
    assert ("resample" in message) == ("sample rate" in fault)


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
    message = complaint(corpus, valid_speakers=["p999"])
    for said in ("p226_001", "p287_002", "p257_001", "3 problem(s)", "p999"):
        assert said in message
    assert "--valid_speakers=p226" in message and "--on_bad_utterance=skip" in message


def test_long_utterances_are_refused(corpus):
    assert "lasts 0.5 s, longer than max_seconds=0.4" in complaint(corpus, max_seconds=0.4)


@pytest.mark.parametrize("speakers", [["p226", "p287"], ["p226", "p999"], [], ["p232"]])
def test_a_split_that_cannot_be_trained_names_speakers_and_remedy(corpus, speakers):
    message = complaint(corpus, valid_speakers=speakers)
    assert f"valid_speakers: {', '.join(speakers) or 'none'}." in message
    assert "p226 (2), p287 (2)" in message and "--valid_speakers=p226" in message


def test_an_utterance_in_training_and_test_is_a_leak(corpus):
    for kind in ("clean", "noisy", "text"):
        source = path_of(corpus, kind, "p287_001")
        shutil.copy(source, corpus / folder_of(kind, "p232_001") / source.name)
    assert "1 utterance(s) are in training and test" in complaint(corpus)


def test_missing_folders_are_all_named(corpus, tmp_path):
    shutil.rmtree(corpus / "noisy_testset_wav_16k")
    shutil.rmtree(corpus / "trainset_28spk_txt")
    message = complaint(corpus)
    assert "lacks trainset_28spk_txt, noisy_testset_wav" in message and "download" in message
    with pytest.raises(RecipeError, match="no such folder"):
        data_prep.prepare(tmp_path / "nowhere", tmp_path / "save")


def test_the_command_prints_errors_and_counts(corpus, tmp_path, capsys):
    command = ["manifests", f"--data_folder={corpus}", f"--save_folder={tmp_path / 's'}"]
    assert data_prep.main(command) == 2
    assert "--valid_speakers=p226" in capsys.readouterr().err
    assert data_prep.main([*command, "--valid_speakers=[p226]"]) == 0
    assert "train: 2 utterances" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["download", "resample", "mini", "mix", "manifests"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as left:
        data_prep.main([command, "--help"])
    assert left.value.code == 0 and "--data_folder" in capsys.readouterr().out


def test_real_voicebank_or_a_stand_in(tmp_path):
    corpus = shared_data("voicebank_real")
    if corpus is None:
        warnings.warn(
            "no real VoiceBank files at hand: a synthetic tree with such sentences stands in",
            stacklevel=1,
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
    assert list(manifests["train"]) == ["p287_002", "p287_003"]
    assert list(manifests["test"]) == ["p257_001"]
    listed = (corpus.parent / "save" / "bad_utterances.txt").read_text().splitlines()
    assert len(listed) == 2 and "p287_001" in listed[0]
    assert "2 problem(s): their utterances are left out" in caplog.text
    assert "2 problem(s)" in complaint(corpus)  # the stricter setting looks again
    assert "error, skip" in complaint(corpus, on_bad_utterance="ignore")


def test_an_utterance_that_nothing_is_left_of(corpus):
    for name in ("p226_001", "p226_002"):
        path_of(corpus, "noisy", name).write_bytes(b"")
    assert complaint(corpus, on_bad_utterance="skip") == "No utterance is left for valid."


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_sound_from_a_pipe_with_no_size_in_its_header_is_whole(corpus, size):
    for path in corpus.rglob("*.wav"):
        data = bytearray(path.read_bytes())
        place = data.index(b"data") + 4
        data[4:8] = data[place : place + 4] = size.to_bytes(4, "little")
        path.write_bytes(data)
    assert prepared(corpus)["train"]["p287_001"]["length"] == 0.5


def test_stereo_is_accepted_since_channels_are_averaged_when_loaded(corpus):
    rewrite(corpus, np.stack([sound("x"), sound("y")], axis=1), RATE)
    assert prepared(corpus)["valid"]["p226_001"]["length"] == 0.5


def test_without_needs_text_a_corpus_has_none(corpus):
    shutil.rmtree(corpus / "trainset_28spk_txt")
    path_of(corpus, "text", "p232_001").write_bytes(b"\xff")
    assert "lacks trainset_28spk_txt" in complaint(corpus)
    manifests = prepared(corpus, needs_text=False)
    assert list(map(len, manifests.values())) == [2, 2, 2]
    assert manifests["test"]["p232_001"].keys() == {"noisy_wav", "clean_wav", "length", "speaker"}


def as_56_speakers(corpus):
    for folder in list(corpus.glob("*_28spk*")):
        shutil.copytree(folder, corpus / folder.name.replace("28spk", "56spk"))
        shutil.rmtree(folder)


def test_the_set_of_56_speakers_is_found(corpus):
    (corpus / "log_trainset_56spk.txt").write_text("p226_001 cafe 5\n")
    as_56_speakers(corpus)
    entry = prepared(corpus)["valid"]["p226_001"]
    assert entry["noisy_wav"] == "{data_root}/noisy_trainset_56spk_wav_16k/p226_001.wav"
    assert (entry["noise"], entry["snr"]) == ("cafe", 5)


def test_of_both_sets_the_named_one_is_used(corpus):
    as_56_speakers(corpus)
    write_corpus(corpus, {"p226_009": "Hello.", "p287_009": "Hello."})
    assert list(prepared(corpus)["train"]) == ["p287_009"]
    assert list(prepared(corpus, speakers=56)["train"]) == ["p287_001", "p287_002"]


def test_nested_folders_upper_case_links_and_junk(tmp_path):
    corpus = write_corpus(tmp_path / "data", suffix="")
    for folder in list(corpus.iterdir()):
        folder.rename(tmp_path / "aside")
        folder.mkdir()
        (tmp_path / "aside").rename(folder / folder.name)
    nested = corpus / "noisy_testset_wav" / "noisy_testset_wav"
    (nested / "p232_001.wav").rename(nested / "p232_001.WAV")
    (nested / "._p232_001.wav").write_bytes(b"Mac OS X")
    nested.rename(tmp_path / "far")
    nested.symlink_to(tmp_path / "far")
    entry = prepared(corpus)["test"]["p232_001"]
    assert entry["noisy_wav"] == "{data_root}/noisy_testset_wav/noisy_testset_wav/p232_001.WAV"


def test_two_files_of_one_name_are_told(corpus):
    (corpus / "noisy_testset_wav_16k" / "more").mkdir()
    path = path_of(corpus, "noisy", "p232_001")
    shutil.copy(path, path.parent / "more" / path.name)
    assert "have one name" in complaint(corpus)


def test_a_file_name_that_is_not_utf8_is_told(corpus, capfd):
    path = path_of(corpus, "noisy", "p226_001")
    os.rename(path, os.path.join(os.fsencode(path.parent), b"p226_caf\xe9.wav"))
    save = corpus.parent / "save"
    command = ["manifests", f"--data_folder={corpus}", f"--save_folder={save}"]
    assert data_prep.main([*command, "--valid_speakers=p226"]) == 2
    assert "the clean file is missing" in capfd.readouterr().err
    assert data_prep.main([*command, "--valid_speakers=p226", "--on_bad_utterance=skip"]) == 0


@pytest.mark.parametrize("name", ["vb #2", "a=b:c", "[vb] {x}", 'it\'s "mine"', " vb ", "50%"])
def test_the_folder_that_was_typed_is_the_one_that_is_used(tmp_path, name, capsys):
    corpus = write_corpus(tmp_path / name)
    save = tmp_path / f"{name} manifests"
    command = ["manifests", f"--data_folder={corpus}", f"--save_folder={save}"]
    assert data_prep.main([*command, "--valid_speakers", "p226"]) == 0
    assert len(json.loads((save / "train.json").read_text())) == 2


def test_remedies_can_be_pasted(tmp_path, capsys):
    corpus = write_corpus(tmp_path / "vb #2", suffix="", rate=48000)
    command = ["manifests", f"--data_folder={corpus}", f"--save_folder={tmp_path / 's'}"]
    assert data_prep.main(command) == 2
    line = re.search(r"python data_prep.py (resample .*)", capsys.readouterr().err)[1]
    assert data_prep.main(shlex.split(line)) == 0


def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_corpus(tmp_path / "vb")
    command = ["manifests", "--data_folder=~/vb", "--save_folder=~/s", "--valid_speakers=p226"]
    assert data_prep.main(command) == 0 and (tmp_path / "s" / "train.json").exists()


@pytest.mark.parametrize(
    "option, said",
    [
        ("--data_folder=", "--data_folder"),
        ("--data_folder=/dev/null", "no such folder /dev/null"),
        ("--max_seconds=0", "max_seconds is 0"),
        ("--max_seconds=nan", "max_seconds is nan"),
        ("--speakers=30", "28, 56"),
        ("--extra_lexicon=nowhere.txt", "nowhere.txt"),
        ("--save_folder=/dev/null/x", "/dev/null/x"),
    ],
)
def test_plain_mistakes_end_in_a_line(corpus, tmp_path, option, said, capsys):
    command = ["manifests", f"--data_folder={corpus}", f"--save_folder={tmp_path / 's'}"]
    try:
        code = data_prep.main([*command, "--valid_speakers=p226", option])
    except SystemExit as left:  # argparse
        code = left.code
    assert code == 2 and said in capsys.readouterr().err
