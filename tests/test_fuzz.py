"""What users hand in may be anything: it is accepted, or refused with an error that names file or field."""

import json
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from speechbrain.utils.run_opts import HELP_TEXTS

from corpus.layout import Utterance
from corpus.manifests import inspect
from corpus.pronunciations import Lexicon, read_lexicon
from corpus.spelling import as_words, words_of
from errors import RecipeError
from training.manifest import TEXTS, read_manifest
from training.settings import read_settings

STAGE = str(Path(__file__).parent.parent / "hparams" / "enhance_mimic.yaml")
many = settings(
    max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.too_slow]
)  # ms a case: no hang
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=9), v, max_size=3),
    max_leaves=6,
)
fields = ("noisy_wav", "clean_wav", "length", "words", "phones")
good_entry = st.fixed_dictionaries(
    {key: st.text(min_size=1).filter(str.strip) for key in TEXTS} | {"length": st.floats(0.01, 100)}
)
spoilt_entry = st.builds(
    lambda entry, key, value: entry | {key: value}, good_entry, st.sampled_from(fields), values
)


def written(content, name="file"):
    """A file of these bytes or this text."""
    path = Path(tempfile.mkdtemp()) / name
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    )
    return path


@pytest.fixture(autouse=True)
def in_a_temporary_folder(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("fuzz")))


@many
@given(st.dictionaries(st.text(max_size=9), good_entry | spoilt_entry | values, max_size=4))
def test_manifests_of_any_json(content):
    path = written(json.dumps(content))
    try:
        entries = read_manifest(path, "/data")
    except RecipeError as error:
        assert str(path) in str(error)
        return
    assert entries and all(
        isinstance(entry[key], str) for entry in entries.values() for key in TEXTS
    )
    assert all(entry["length"] > 0 for entry in entries.values())


@many
@given(st.sampled_from(fields), values)
def test_a_spoilt_field_of_a_manifest_is_named(key, value):
    entry = {
        "noisy_wav": "a.wav",
        "clean_wav": "b.wav",
        "length": 1.0,
        "words": "A",
        "phones": "AH",
    } | {key: value}
    fits = (
        value > 0
        if key == "length" and type(value) in (int, float) and abs(value) < 1e300
        else isinstance(value, str)
    )
    assume(not fits or key == "length")
    path = written(json.dumps({"u1": entry}))
    if fits and key == "length" and not isinstance(value, str):
        assert read_manifest(path)["u1"]["length"] == value
    else:
        with pytest.raises(RecipeError, match=f"u1: {key} is "):
            read_manifest(path)


@many
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_manifests_of_any_bytes(content):
    path = written(content)
    with pytest.raises(RecipeError, match="manifest|JSON|utterance|problem|UTF-8"):
        read_manifest(path)


@many
@given(st.text(max_size=80))
def test_transcripts_of_any_text(sentence):
    tokens = words_of(sentence)
    assert all(token and token == token.strip() for token in tokens)
    assert (
        words_of(as_words(tokens)) == as_words(tokens).split()
    )  # what a manifest says is read back as it is


@many
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_transcript_files_of_any_bytes(content):
    _, words, problems = inspect(Utterance("p1_1", None, None, written(content)), max_seconds=60)
    assert words or any("UTF-8" in p or "no words" in p for p in problems)


@many
@given(st.lists(st.text(alphabet="ABCDEFGHIKLMNORSTUVWXYZ'-", min_size=1, max_size=40), max_size=4))
def test_pronunciations_of_any_word(words):
    lexicon = Lexicon()
    assert all(phones is None or phones for phones in map(lexicon.phones, words))


@pytest.mark.parametrize("word", ["SING" * 500, "ZQ" * 1000, "A-" * 1000])
def test_a_very_long_word_does_not_hang(word):
    lexicon, begin = Lexicon(), time.process_time()
    lexicon.phones(word)
    assert time.process_time() - begin < 5  # s


@many
@given(
    st.binary(max_size=80) | st.text(max_size=80) | st.text(alphabet="AHKT 01#\n\t", max_size=80)
)
def test_lexicons_of_any_bytes(content):
    path = written(content)
    try:
        entries = read_lexicon(path)
    except RecipeError as error:
        assert str(path) in str(error)
        return
    assert all(word and phones for word, phones in entries.items())


keys = st.sampled_from(
    [
        "lr",
        "seed",
        "batch_size",
        "sorting",
        "valid_speakers",
        "mini_sizes",
        "stft",
        "losses",
        "output_folder",
    ]
)
keys |= st.sampled_from(
    [
        "frozen_models",
        "enhance_channels",
        "skip_prep",
        "mimic_ratio",
        "data_folder",
        "judge_name",
        "max_seconds",
    ]
)
texts = (
    st.text(max_size=25)
    | values.map(str)
    | st.text(alphabet="[]{}:,!&*<>-#|'\"1aeE.~ \n", max_size=15)
)
tags = st.sampled_from(
    ["!new:", "!apply:", "!name:", "!!python/object/apply:", "!ref ", "!include:"]
)


@many
@given(keys | st.text(alphabet="abcdlr_", min_size=1, max_size=9), texts)
def test_overrides_of_any_text(key, text):
    assume("=" not in text and not text.startswith("--"))
    try:
        overrides = read_settings([STAGE, f"--{key}={text}"])[2]
    except RecipeError as error:
        assert key in str(error) or "command line" in str(error) or "preset" in str(error)
        return
    except (
        SystemExit
    ):  # argparse took the key for the beginning of one of SpeechBrain's options, and said so
        assert any(option.startswith(key) for option in HELP_TEXTS)
        return
    assert "output_folder" not in overrides or isinstance(overrides["output_folder"], str)


@many
@given(
    keys,
    tags,
    st.sampled_from(["os.system", "builtins.eval", "<lr>"]),
    st.sampled_from(["", " [touch pwned]", " {a: 1}"]),
)
def test_overrides_name_no_python_objects(key, tag, name, arguments):
    with pytest.raises(RecipeError, match="plain values"):
        read_settings([STAGE, f"--{key}={tag}{name}{arguments}"])
