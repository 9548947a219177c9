"""What users hand in may be anything: it is accepted, or refused by name."""

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from corpus.layout import Utterance
from corpus.manifests import inspect
from corpus.pronunciations import Lexicon, read_lexicon
from corpus.spelling import as_words, words_of
from errors import RecipeError
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
@given(st.text(max_size=80))
def test_transcripts_of_any_text(sentence):
    tokens = words_of(sentence)
    assert all(token and token == token.strip() for token in tokens)
    # What a manifest says is read back as it is.
    assert words_of(as_words(tokens)) == as_words(tokens).split()


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


keys = st.sampled_from(["lr", "seed", "batch_size", "sorting", "modules", "losses", "mimic_ratio"])
keys |= st.sampled_from(["frozen_models", "enhance_channels", "skip_prep", "max_seconds"])
texts = st.text(max_size=25) | values.map(str)
texts |= st.text(alphabet="[]{}:,!&*<>-#|'\"1aeE.~ \n", max_size=15)
tags = ["!new:", "!apply:", "!name:", "!!python/object/apply:", "!ref ", "!include:"]


@pytest.mark.slow
@many
@given(keys | st.sampled_from(["data_folder", "valid_speakers", "zz"]), texts)
def test_overrides_of_any_text(key, text):
    assume(not text.startswith("--"))
    try:
        overrides = read_settings([STAGE, f"--{key}={text}"]).overrides
    except RecipeError as error:
        assert key in str(error)
        return
    assert not isinstance(overrides.get("data_folder"), (dict, list))


@pytest.mark.slow
@many
@given(keys, st.sampled_from(tags), st.sampled_from(["os.system", "builtins.eval", "<lr>"]))
def test_overrides_name_no_python_objects(key, tag, name):
    with pytest.raises(RecipeError, match="plain values"):
        read_settings([STAGE, f"--{key}={tag}{name} [touch pwned]"])
