"""A corpus of one's own speech and noises: where all goes, and that it comes out the same."""

import csv
import json
import os
import re
import shlex
import warnings
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from corpora import shared_data, sound

import data_prep
from corpus import crowds, mixing
from corpus.mixing import MixSettings, mix_corpus
from corpus.recordings import find_noises, find_speech
from errors import RecipeError

SPEAKERS = ("ann", "bob", "cid", "dee")
NOISES = ("rain", "street", "wind", "cafe")


def write_sound(path, rate=16000, seconds=0.6):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(path.stem + path.parent.name, seconds, rate), rate)


@pytest.fixture
def speech(tmp_path):
    for speaker in SPEAKERS:
        for number in range(3):
            path = tmp_path / "speech" / speaker / f"take{number}.flac"
            write_sound(path)
            path.with_suffix(".txt").write_text("Please call Stella.")
    return tmp_path / "speech"


@pytest.fixture
def noise(tmp_path):
    for kind in NOISES:
        write_sound(tmp_path / "noise" / kind / "clip.wav", 44100, 0.3 if kind == "rain" else 1.5)
    return tmp_path / "noise"


SETTINGS = MixSettings(
    valid_speakers=("bob",), test_speakers=("dee",), test_noises=("rain", "wind")
)


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def signal_of(corpus, kind):
    return soundfile.read(corpus / f"{kind}_trainset_28spk_wav_16k" / "ann_001.wav")[0]


def test_layout_split_and_logs(speech, noise, tmp_path):
    mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    manifests = data_prep.prepare(tmp_path / "out", tmp_path / "save", ["bob"])
    manifests = {name: json.loads(path.read_text()) for name, path in manifests.items()}
    speakers = {
        name: {e["speaker"] for e in entries.values()} for name, entries in manifests.items()
    }
    assert speakers == {"train": {"ann", "cid"}, "valid": {"bob"}, "test": {"dee"}}
    assert list(manifests["test"]) == ["dee_001", "dee_002", "dee_003"]
    assert {entry["noise"] for entry in manifests["test"].values()} <= {"rain", "wind"}
    assert {entry["snr"] for entry in manifests["test"].values()} <= {2.5, 7.5, 12.5, 17.5}
    training = {**manifests["train"], **manifests["valid"]}.values()
    assert {entry["noise"] for entry in training} <= {"street", "cafe"}
    assert {entry["snr"] for entry in training} <= {0, 5, 10, 15}


def test_the_noise_is_at_the_level_of_the_log(speech, noise, tmp_path):
    mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    clean, noisy = (signal_of(tmp_path / "out", kind) for kind in ("clean", "noisy"))
    ratio = 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2))  # without pauses
    (line, *_) = (tmp_path / "out" / "log_trainset_28spk.txt").read_text().splitlines()
    name, _, snr = line.split()
    assert name == "ann_001" and ratio == pytest.approx(float(snr), abs=0.5)


def test_same_seed_same_bytes_other_seed_others(speech, noise, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 5)):
        settings = MixSettings(valid_speakers=("0.3",), test_speakers=("0.3",), seed=seed)
        mix_corpus(speech, noise, tmp_path / name, settings)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_repeating_mends_and_other_settings_are_refused(speech, noise, tmp_path):
    mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "log_testset.txt").unlink()
    (tmp_path / "out" / "noisy_testset_wav_16k" / "dee_001.wav").unlink()
    mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    assert contents(tmp_path / "out") == before
    with pytest.raises(RecipeError, match="of other sources or settings"):
        mix_corpus(speech, noise, tmp_path / "out", MixSettings())
    with pytest.raises(RecipeError, match="holds other files"):
        mix_corpus(speech, noise, speech, SETTINGS)


def test_a_manifest_names_path_speaker_and_words(tmp_path):
    for path in ("fsdd/george/1.wav", "ls/2.wav"):
        write_sound(tmp_path / path)
    (tmp_path / "manifest.csv").write_text(
        "path,speaker,words\nfsdd/george/1.wav,fsdd/george,ONE\nls/2.wav,ls_2,TWO\n"
    )
    found = [(item.speaker, item.words) for item in find_speech(tmp_path)]
    assert found == [("fsdd_george", "ONE"), ("ls_2", "TWO")]
    assert [item.words for item in find_speech(tmp_path, without=["fsdd/*"])] == ["TWO"]
    assert [item.words for item in find_speech(tmp_path, without=["ls_*"])] == ["ONE"]
    with pytest.raises(RecipeError, match="no speech"):
        find_speech(tmp_path, without=["fsdd/*", "ls_2"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_manifest_of_any_spreadsheet(tmp_path, encoding, delimiter, newline):
    path = tmp_path / "elsewhere" / "a;b,c.wav"
    write_sound(path)
    (tmp_path / "in").mkdir()
    rows = [["Speaker", "seconds", " Path", "words"], ["José", "1", str(path), "Two, or\nthree"]]
    with open(tmp_path / "in" / "manifest.csv", "w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=newline).writerows([*rows, [], []])
    (found,) = find_speech(tmp_path / "in")
    assert (found.path, found.speaker, found.words) == (path, "José", "Two, or three")


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "lacks the column"),
        ("path,speaker\na.wav,b\n", "lacks the column.* words"),
        ("path,speaker,words\n", "or has no rows"),
        ("path,speaker,words\nb.wav,b,B\n", "missing file.*\n.*b.wav"),
        ("path,speaker,words\na.wav,,A\n", "a.wav has no speaker"),
        ("path,speaker,words\na.wav\n", "a.wav has no"),
        ("path,speaker,words\na.wav,b,\n", "a.wav has no words"),
        ("path,speaker,words\n,b,B\n", "missing file"),
    ],
)
def test_faults_of_a_manifest_are_told(tmp_path, text, said):
    write_sound(tmp_path / "a.wav")
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(RecipeError, match=said):
        find_speech(tmp_path)


def test_librispeech(tmp_path):
    write_sound(tmp_path / "84" / "121" / "84-121-0000.flac")
    (tmp_path / "84" / "121" / "84-121.trans.txt").write_text("84-121-0000 GO ON\n")
    (found,) = find_speech(tmp_path)
    assert (found.speaker, found.words) == ("84", "GO ON")


def test_texts_may_stand_in_a_tree_of_their_own(tmp_path):
    write_sound(tmp_path / "wav" / "p225" / "p225_001.wav")
    (tmp_path / "txt" / "p225").mkdir(parents=True)
    (tmp_path / "txt" / "p225" / "p225_001.txt").write_text("Please call Stella.")
    (found,) = find_speech(tmp_path)
    assert (found.speaker, found.words) == ("p225", "Please call Stella.")


@pytest.mark.parametrize(
    "options, said",
    [
        ({"valid_speakers": ("zoe",)}, "valid_speakers: no zoe; available: ann, bob, cid"),
        ({"valid_speakers": ("dee",)}, "valid_speakers: no dee"),
        ({"test_speakers": ("ann", "bob", "cid")}, "test_speakers takes 3 of 4"),
        ({"test_noises": NOISES}, "test_noises takes 4 of 4"),
        ({"test_noises": ("snow",)}, "no snow; available: cafe, rain"),
        ({"seed": -1}, "seed is -1; accepted"),
        ({"snrs_test": (float("nan"),)}, "snrs_test is (nan,); accepted"),
        ({"snrs_test": (1e9,)}, "snrs_test is (1000000000.0,); accepted"),
        ({"snrs_train": ()}, "snrs_train is (); accepted"),
    ],
)
def test_impossible_splits_are_refused_before_anything_is_written(
    speech, noise, tmp_path, options, said
):
    with pytest.raises(RecipeError) as caught:
        mix_corpus(speech, noise, tmp_path / "out", MixSettings(**{**vars(SETTINGS), **options}))
    assert said in str(caught.value) and not (tmp_path / "out").exists()


def test_missing_words_are_named(speech, noise, tmp_path):
    (speech / "ann" / "take1.txt").unlink()
    with pytest.raises(RecipeError, match="ann/take1.flac has no words"):
        mix_corpus(speech, noise, tmp_path / "out", SETTINGS)


def test_one_bad_recording_costs_itself(speech, noise, tmp_path, capsys):
    soundfile.write(speech / "ann" / "take0.flac", np.zeros(8000), 16000)
    (speech / "ann" / "take1.flac").write_bytes(b"no sound")
    soundfile.write(speech / "cid" / "take0.flac", np.ones(4000) / 2, 44099)
    (noise / "rain" / "damaged.wav").write_bytes(b"no sound")
    write_sound(noise / "loose.wav")
    command = ["mix", f"--speech={speech}", f"--noise={noise}", f"--data_folder={tmp_path / 'out'}"]
    assert data_prep.main([*command, "--valid_speakers=bob", "--test_speakers=dee"]) == 1
    said = capsys.readouterr().err
    assert "5 failed" in said and "take0.flac with noise" in said
    assert "silent" in said and "cannot be read as sound" in said and "44099 Hz" in said
    assert "damaged.wav holds no sound" in said and "loose.wav is of no noise kind" in said
    logged = (tmp_path / "out" / "log_trainset_28spk.txt").read_text()
    assert {line.split()[0] for line in logged.splitlines()} == {
        "ann_003", "bob_001", "bob_002", "bob_003", "cid_002", "cid_003"
    }  # fmt: skip


@pytest.mark.parametrize("samples", [1, 20])
def test_speech_too_short_for_a_level_is_mixed_all_the_same(samples):
    noisy, clean = mixing.mix_at_snr(np.full(samples, 0.1), np.ones(100), 0)
    np.testing.assert_allclose(noisy, 2 * clean)


def test_sound_that_cannot_seek_is_mixed(speech, noise, tmp_path):
    for kind in NOISES:
        soundfile.write(noise / kind / "clip.wav", sound(kind, 9, 8000), 8000, subtype="GSM610")
    soundfile.write(speech / "ann/take0.wav", sound("a", 1, 8000), 8000, subtype="GSM610")
    assert mix_corpus(speech, noise, tmp_path / "out", SETTINGS)["problems"] == []


def test_silent_noise_is_named(speech, noise, tmp_path):
    for kind in ("street", "cafe"):
        soundfile.write(noise / kind / "clip.wav", np.zeros(30000), 16000)
    with pytest.raises(RecipeError, match="(?s)Nothing could be mixed for train.*only silence"):
        mix_corpus(speech, noise, tmp_path / "out", SETTINGS)


def test_of_a_long_noise_only_a_stretch_is_read(speech, noise, tmp_path, monkeypatch):
    for kind in NOISES:
        write_sound(noise / kind / "clip.wav", 16000, 60)
    read, sizes = mixing.read, []

    def counted(*arguments):
        found = read(*arguments)
        sizes.append(len(found[0]))
        return found

    monkeypatch.setattr(mixing, "read", counted)
    mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    assert len(sizes) == 24 and max(sizes) <= 16000


def test_digital_silence_around_a_noise_is_not_mixed(speech, noise, tmp_path):
    for kind in NOISES:
        padded = np.concatenate([np.zeros(4000), sound(kind, 0.2), np.zeros(4000)])
        soundfile.write(noise / kind / "clip.wav", padded, 16000)
    mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    clean, noisy = (signal_of(tmp_path / "out", kind) for kind in ("clean", "noisy"))
    quarters = [np.std(part) for part in np.array_split(noisy - clean, 4)]
    assert min(quarters) > 0.8 * max(quarters)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".WAV", ".aiff"])
def test_what_libsndfile_reads_is_mixed(tmp_path, suffix):
    formats = {".mp3": "MP3", ".ogg": "OGG", ".WAV": "WAV", ".aiff": "AIFF"}
    for kind in "abc":
        for place in (tmp_path / "noise" / kind, tmp_path / "speech" / kind):
            place.mkdir(parents=True)
            signal = sound(kind, 0.6)
            soundfile.write(place / f"u{suffix}", signal, 16000, format=formats[suffix])
        (tmp_path / "speech" / kind / "u.TXT").write_text("Hello.")
    split = mix_corpus(tmp_path / "speech", tmp_path / "noise", tmp_path / "out")
    assert split["problems"] == []
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 6


def test_each_recording_keeps_its_text_and_the_first_folder_is_the_speaker(tmp_path):
    for speaker in ("anna", "bert"):
        for session in ("s1", "s2"):
            path = tmp_path / speaker / session / "001.wav"
            write_sound(path)
            path.with_suffix(".txt").write_text(f"{speaker} {session}")
    assert [(item.speaker, item.words) for item in find_speech(tmp_path)] == [
        ("anna", "anna s1"), ("anna", "anna s2"), ("bert", "bert s1"), ("bert", "bert s2")
    ]  # fmt: skip


def test_a_recording_in_no_folder_has_no_speaker(speech):
    write_sound(speech / "loose.wav")
    with pytest.raises(RecipeError, match="loose.wav has no speaker"):
        find_speech(speech)


def test_links_are_followed_and_junk_and_output_are_not(speech, noise, tmp_path):
    (speech / "dee").rename(tmp_path / "far")
    (speech / "dee").symlink_to(tmp_path / "far")
    (speech / "loop").symlink_to(speech)
    for name in ("._take0.flac", "._take0.txt", ".DS_Store"):
        (speech / "ann" / name).write_bytes(b"\0\5\26\7")
    (noise / ".Trash").mkdir()
    write_sound(noise / ".Trash" / "clip.wav")
    out = speech / "corpus"
    mix_corpus(speech, noise, out, SETTINGS)
    assert len(list(out.glob("clean_*/*.wav"))) == 12
    before = contents(out)
    mix_corpus(speech, noise, out, SETTINGS)
    assert contents(out) == before
    assert find_noises([noise], leave_out=noise / "rain")[0].keys() == set(NOISES) - {"rain"}


@pytest.mark.parametrize(
    "name, content",
    [
        ("ann/take0.txt", "The café.".encode("cp1252")),
        ("ann/take0.txt", "The cafe.".encode("utf-16")),
        ("manifest.csv", "path,speaker,words\nann/take0.flac,ann,café".encode("cp1252")),
        ("ann/ann.trans.txt", b"\xff\xfe"),
    ],
)
def test_texts_in_other_encodings_are_told(speech, name, content):
    (speech / name).write_bytes(content)
    with pytest.raises(RecipeError, match=f"{name}, line [12]: this is not UTF-8"):
        find_speech(speech)


@pytest.mark.parametrize("folder", ["out", "my corpus #2", "it's=[mine]"])
@pytest.mark.parametrize("speakers", [("ann", "bob", "cid", "dee"), ("84", "174", "251", "422")])
def test_the_command_says_how_to_go_on(speech, noise, tmp_path, folder, speakers, capsys):
    for old, new in zip(SPEAKERS, speakers, strict=True):
        (speech / old).rename(speech / new)
    command = ["mix", f"--speech={speech}", f"--noise={noise}"]
    command += [f"--data_folder={tmp_path / folder}", f"--valid_speakers=[{speakers[1]}]"]
    assert data_prep.main([*command, "--test_speakers", speakers[3], "--snrs_test", "3"]) == 0
    printed = capsys.readouterr().out
    pasted = dict(part[2:].split("=", 1) for part in shlex.split(printed.split("Train with: ")[1]))
    assert pasted == {"data_folder": str(tmp_path / folder), "valid_speakers": speakers[1]}
    assert not re.search(r"[\[\]*?]", printed.split("--valid_speakers=")[1])  # zsh would expand it
    logged = (tmp_path / folder / "log_testset.txt").read_text().splitlines()
    assert {line.split()[2] for line in logged} == {"3"}
    path = data_prep.prepare(pasted["data_folder"], tmp_path / "s", pasted["valid_speakers"])
    entries = json.loads(path["valid"].read_text())
    assert {entry["speaker"] for entry in entries.values()} == {speakers[1]}


def test_speakers_with_spaces_and_other_letters(speech, noise, tmp_path):
    (speech / "ann").rename(speech / "Anna Maria")
    (speech / "bob").rename(speech / "José")
    (speech / "cid").rename(speech / "Женя")
    os.rename(speech / "dee", os.fsencode(speech) + b"/caf\xe9")
    command = ["mix", f"--speech={speech}", f"--noise={noise}", f"--data_folder={tmp_path / 'o'}"]
    assert data_prep.main([*command, "--test_speakers", "Anna Maria", "--valid_speakers=José"]) == 0
    names = {path.name for path in (tmp_path / "o" / "clean_trainset_28spk_wav_16k").iterdir()}
    assert {"José_001.wav", "Женя_001.wav", "caf_001.wav"} <= names


@pytest.mark.parametrize(
    "option", ["--test_speakers=zoe", "--speech=", "--noise=nowhere", "--seed=x"]
)
def test_plain_mistakes_end_in_a_line(speech, noise, tmp_path, option, capsys):
    command = ["mix", f"--speech={speech}", f"--noise={noise}", f"--data_folder={tmp_path / 'o'}"]
    try:
        code = data_prep.main([*command, option])
    except SystemExit as left:  # argparse
        code = left.code
    said = capsys.readouterr().err
    assert code == 2 and option.partition("=")[0] in said and not (tmp_path / "o").exists()


def test_noises_of_several_folders_are_mixed_and_kinds_left_out(speech, noise, tmp_path):
    write_sound(tmp_path / "more" / "siren" / "clip.wav")
    settings = {**vars(SETTINGS), "without": ("cafe/*",)}
    mix_corpus(speech, [noise, tmp_path / "more"], tmp_path / "out", MixSettings(**settings))
    logs = [path.read_text().splitlines() for path in (tmp_path / "out").glob("log*")]
    kinds = {line.split()[1] for log in logs for line in log}
    assert "siren" in kinds and "cafe" not in kinds


def test_coloured_noises_have_another_spectrum_at_the_same_level(speech, noise, tmp_path):
    noises = []
    for colour in (False, True):
        mix_corpus(speech, noise, tmp_path / str(colour), replace(SETTINGS, colour=colour))
        noises.append(
            np.subtract(*(signal_of(tmp_path / str(colour), k) for k in ("noisy", "clean")))
        )
    plain, coloured = (np.abs(np.fft.rfft(signal)) for signal in noises)
    assert abs(20 * np.log10(np.linalg.norm(coloured) / np.linalg.norm(plain))) < 1
    octaves = [slice(75 * 2**n, 150 * 2**n) for n in range(6)]  # from 125 Hz on
    changes = [np.linalg.norm(coloured[n]) / np.linalg.norm(plain[n]) for n in octaves]
    assert np.std(20 * np.log10(changes)) > 2


def test_crowds_are_of_one_level_and_leave_speakers_out(speech, tmp_path):
    for path in (speech / "dee").glob("*.flac"):
        path.write_bytes(b"damaged")
    assert crowds.mix_crowds(tmp_path / "all", speech) != []
    assert crowds.mix_crowds(tmp_path / "some", speech, without=("dee",)) == []
    signals = [soundfile.read(path)[0] for path in (tmp_path / "some").glob("crowd_*/*.wav")]
    assert len(signals) == 80
    assert all(len(s) == 320000 and abs(s.std() - 0.1) < 0.01 for s in signals)


@pytest.mark.slow
def test_real_speech_and_noise_or_a_stand_in(speech, noise, tmp_path):
    if shared_data("real_speech") and shared_data("real_noise"):
        speech, noise = shared_data("real_speech"), shared_data("real_noise")
    else:
        warnings.warn("no real speech and noise at hand: noise bursts stand in", stacklevel=1)
    settings = MixSettings(without=("ls_*", "librivox_*", "*digits*", "*fsdd*"))
    split = mix_corpus(speech, noise, tmp_path / "out", settings)
    paths = data_prep.prepare(
        tmp_path / "out", tmp_path / "save", split["valid_speakers"], needs_text=False
    )
    assert all(json.loads(path.read_text()) for path in paths.values())


def test_help_shows_defaults_as_they_are_typed(capsys):
    with pytest.raises(SystemExit, match="0"):
        data_prep.main(["mix", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "(default: 0.0 5.0 10.0 15.0)" in told and "(default: 0.1)" in told
