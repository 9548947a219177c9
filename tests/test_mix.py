"""A corpus of one's own speech and noises: where everything goes, and that it comes out the same again."""

import json
import warnings

import numpy as np
import pytest
import soundfile
from corpora import shared_data, sound

import data_prep
from corpus.layout import TRAIN
from corpus.noise_sources import MADE, make_noises
from corpus.own_corpus import MixSettings, mix_corpus
from corpus.speech_sources import find_speech
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
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_layout_split_and_logs(speech, noise, tmp_path):
    mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    manifests = data_prep.prepare(tmp_path / "out", tmp_path / "save", ["bob"])
    manifests = {name: json.loads(path.read_text()) for name, path in manifests.items()}
    assert {name: {entry["speaker"] for entry in entries.values()} for name, entries in manifests.items()} == {
        "train": {"ann", "cid"}, "valid": {"bob"}, "test": {"dee"}}  # fmt: skip
    assert list(manifests["test"]) == ["dee_001", "dee_002", "dee_003"]
    assert {entry["noise"] for entry in manifests["test"].values()} <= {"rain", "wind"}
    assert {entry["snr"] for entry in manifests["test"].values()} <= {2.5, 7.5, 12.5, 17.5}
    training = {**manifests["train"], **manifests["valid"]}.values()
    assert {entry["noise"] for entry in training} <= {"street", "cafe"}
    assert {entry["snr"] for entry in training} <= {0, 5, 10, 15}


def test_the_noise_is_at_the_level_of_the_log(speech, noise, tmp_path):
    mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    entry = json.loads(
        data_prep.prepare(tmp_path / "out", tmp_path / "save", ["bob"])["train"].read_text()
    )["ann_001"]
    clean, noisy = (
        soundfile.read(entry[key].replace("{data_root}", str(tmp_path / "out")))[0]
        for key in ("clean_wav", "noisy_wav")
    )
    ratio = 10 * np.log10(
        np.mean(clean**2) / np.mean((noisy - clean) ** 2)
    )  # dB; the speech has no pauses
    assert ratio == pytest.approx(entry["snr"], abs=0.5)


def test_same_seed_same_bytes_other_seed_others(speech, noise, tmp_path):
    drawn = MixSettings(valid_speakers=("0.3",), test_speakers=("0.3",))
    for name, settings in (
        ("a", drawn),
        ("b", drawn),
        ("c", MixSettings(**{**vars(drawn), "seed": 5})),
    ):
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
    with pytest.raises(RecipeError, match="other speech or settings"):
        mix_corpus(speech, noise, tmp_path / "out", MixSettings())
    with pytest.raises(RecipeError, match="holds other files"):
        mix_corpus(speech, noise, speech, SETTINGS)


def test_a_manifest_names_path_speaker_and_words(tmp_path):
    for path in ("fsdd/george/1.wav", "ls/2.wav"):
        write_sound(tmp_path / path)
    (tmp_path / "manifest.csv").write_text(
        "path,speaker,words\nfsdd/george/1.wav,fsdd/george,ONE\nls/2.wav,ls_2,TWO\n"
    )
    assert [(item.speaker, item.words) for item in find_speech(tmp_path)] == [
        ("fsdd_george", "ONE"),
        ("ls_2", "TWO"),
    ]
    assert [item.words for item in find_speech(tmp_path, only=["fsdd/*"])] == ["ONE"]
    assert [item.words for item in find_speech(tmp_path, without=["fsdd/*"])] == ["TWO"]
    assert [item.words for item in find_speech(tmp_path, only=["ls_*"])] == ["TWO"]
    with pytest.raises(RecipeError, match="nothing/"):
        find_speech(tmp_path, only=["nothing/*"])


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
        ({"made_noises": ("snow",)}, "no snow; available: babble, speech_shaped, coloured"),
        ({"made_noises": ("babble",), "made_share": 2.0}, "made_share is 2; accepted: 0 to 1"),
    ],
)
def test_impossible_splits_are_refused_before_anything_is_written(
    speech, noise, tmp_path, options, said
):
    with pytest.raises(RecipeError) as caught:
        mix_corpus(speech, noise, tmp_path / "out", MixSettings(**{**vars(SETTINGS), **options}))
    assert said in str(caught.value) and not (tmp_path / "out").exists()


def test_silence_and_missing_words_are_named(speech, noise, tmp_path):
    (speech / "ann" / "take1.txt").unlink()
    with pytest.raises(RecipeError, match="ann/take1.flac"):
        mix_corpus(speech, noise, tmp_path / "out", SETTINGS)
    (speech / "ann" / "take1.txt").write_text("Hello.")
    soundfile.write(speech / "ann" / "take1.flac", np.zeros(8000), 16000)
    with pytest.raises(RecipeError, match="take1.flac with noise .*silent"):
        mix_corpus(speech, noise, tmp_path / "out", SETTINGS)


def test_silent_noise_is_named(speech, noise, tmp_path):
    for kind in ("street", "cafe"):
        soundfile.write(noise / kind / "clip.wav", np.zeros(30000), 16000)
    with pytest.raises(RecipeError, match="only silence"):
        mix_corpus(speech, noise, tmp_path / "out", SETTINGS)


def test_made_noises_are_for_training_and_change_nothing_else(speech, noise, tmp_path):
    made = MixSettings(**{**vars(SETTINGS), "made_noises": tuple(MADE), "made_share": 1.0})
    for name, settings in (("plain", SETTINGS), ("made", made), ("again", made)):
        mix_corpus(speech, noise, tmp_path / name, settings)
    assert contents(tmp_path / "made") == contents(tmp_path / "again")
    logs = {name: (tmp_path / name / TRAIN.log).read_text() for name in ("plain", "made")}
    assert {line.split()[1] for line in logs["made"].splitlines()} <= {
        f"made_{name}" for name in MADE
    }
    assert "made_" not in logs["plain"]
    for kind in ("noisy", "clean"):
        folder = f"{kind}_testset_wav_16k"
        assert contents(tmp_path / "made" / folder) == contents(tmp_path / "plain" / folder)


def test_what_made_noises_sound_like(tmp_path):
    low = np.sin(2 * np.pi * 300 * np.arange(16000) / 16000)  # "speech" of one tone
    soundfile.write(tmp_path / "low.wav", low * 0.1, 16000)
    sources = make_noises(tuple(MADE), [tmp_path / "low.wav"])
    made = {name: source(24000, np.random.default_rng(1)) for name, source in sources.items()}
    assert all(sound.shape == (24000,) and sound.std() > 0 for sound in made.values())
    share = {name: spectrum_share(sound, 200, 400) for name, sound in made.items()}
    assert (
        share["made_babble"] > 0.95 and share["made_speech_shaped"] > 0.8 > share["made_coloured"]
    )


def spectrum_share(signal, low, high):
    """Share of the power that lies between two frequencies in Hz."""
    power, frequency = np.abs(np.fft.rfft(signal)) ** 2, np.fft.rfftfreq(signal.size, 1 / 16000)
    return power[(frequency >= low) & (frequency <= high)].sum() / power.sum()


def test_the_command_says_how_to_go_on(speech, noise, tmp_path, capsys):
    command = ["mix", f"--speech={speech}", f"--noise={noise}", f"--data_folder={tmp_path / 'out'}"]
    split = [
        "--valid_speakers=[bob]",
        "--test_speakers",
        "dee",
        "--snrs_test",
        "3",
        "--made_noises",
        "babble",
        "coloured",
    ]
    assert data_prep.main(command + split) == 0
    assert "--valid_speakers=[bob]" in capsys.readouterr().out
    assert {
        line.split()[2] for line in (tmp_path / "out" / "log_testset.txt").read_text().splitlines()
    } == {"3"}
    assert (
        data_prep.main([*command[:3], f"--data_folder={tmp_path / 'new'}", "--test_speakers=zoe"])
        == 2
    )
    assert "no zoe" in capsys.readouterr().err


def test_real_speech_and_noise_or_a_stand_in(speech, noise, tmp_path):
    if shared_data("real_speech") and shared_data("real_noise"):
        speech, noise = shared_data("real_speech"), shared_data("real_noise")
    else:
        warnings.warn("no real speech and noise at hand: noise bursts stand in")
    only = ("vctk_*", "ann", "bob", "cid", "dee")
    split = mix_corpus(speech, noise, tmp_path / "out", MixSettings(only=only))
    paths = data_prep.prepare(tmp_path / "out", tmp_path / "save", split["valid_speakers"])
    assert all(json.loads(path.read_text()) for path in paths.values())
