"""Spelling and pronunciations: from a sentence to words and phones."""

import csv
import warnings

import pytest
from corpora import SENTENCES, shared_data
from hypothesis import given
from hypothesis import strategies as st

from corpus import pronunciations
from corpus.pronunciations import Lexicon, phone_set, read_lexicon
from corpus.spelling import as_words, number_in_words, words_of
from errors import RecipeError

LEXICON = Lexicon()


def spoken(word):
    return " ".join(LEXICON.phones(word) or ["-"])


@pytest.mark.parametrize(
    "sentence, words",
    [
        ("Please call Stella.", "PLEASE CALL STELLA"),
        ("There is , according to legend, gold.", "THERE IS ACCORDING TO LEGEND GOLD"),
        ("It\u2019s the boys' 'own' X-ray - isn't it?", "IT'S THE BOYS OWN X RAY ISN'T IT"),
        ("Caf\u00e9 R&D, 5% off", "CAFE R AND D FIVE PERCENT OFF"),
        (
            "1,250 people, 3.14 and 007",
            "ONE THOUSAND TWO HUNDRED AND FIFTY PEOPLE THREE POINT ONE FOUR AND ZERO ZERO SEVEN",
        ),
        ("The A9 in the U.S. today", "THE A NINE IN THE U S TODAY"),
        ("... -- !", ""),
    ],
)
def test_spelling(sentence, words):
    assert as_words(words_of(sentence)) == words


@given(st.integers(0, 999_999))
def test_every_number_is_said_in_known_words(number):
    assert all(LEXICON.phones(word) for word in number_in_words(number))


@given(st.text())
def test_words_are_upper_case_without_stray_marks(text):
    for word in as_words(words_of(text)).split():
        assert word == word.strip("'-") and "-" not in word and word == word.upper()


@pytest.mark.parametrize(
    "word, phones",
    [
        ("HELLO", "HH AH L OW"),  # the dictionary's first pronunciation, unstressed
        ("FULL-TIME", "F UH L T AY M"),
        ("X-RAY", "EH K S R EY"),
        ("HEROD'S", "HH EH R AH D Z"),
        ("FALK'S", "F AO K S"),
        ("CIRCE'S", "S ER S IY Z"),
        ("LYNCHES", "L IH N CH IH Z"),
        ("IMMENSITIES", "IH M EH N S AH T IY Z"),
        ("FRINGED", "F R IH N JH D"),
        ("SCUDDING", "S K AH D IH NG"),
        ("FAVOURABLE", "F EY V ER AH B AH L"),
        ("WOODCUTTERS", "W UH D K AH T ER Z"),
        ("MR", "M IH S T ER"),
        ("DR", "D AA K T ER"),
        ("BBC", "B IY B IY S IY"),
        ("GMB", "JH IY EH M B IY"),
        ("REFRACTION", "R AH F R AE K SH AH N"),
        ("XQZVBKJH", "-"),
        ("", "-"),
    ],
)
def test_phones(word, phones):
    assert spoken(word) == phones


@pytest.mark.parametrize("word", ["READING", "JONES", "DON'T", "BUSES", "NASA", "BOSS"])
def test_dictionary_comes_before_rules(word):
    assert Lexicon().phones(word) == pronunciations.dictionary()[word]


def test_derived_words_are_recorded():
    lexicon = Lexicon()
    lexicon.phones("HELLO")
    lexicon.phones("WOODCUTTERS")
    assert lexicon.derived == {"WOODCUTTERS": "W UH D K AH T ER Z".split()}


@given(st.text(alphabet="ABCDEGHILNORSTUY'-", max_size=12))
def test_any_word_gives_phones_of_the_set_or_none(word):
    phones = LEXICON.phones(word)
    assert phones is None or (phones and set(phones) <= set(phone_set()))


def test_there_are_39_phones():
    assert len(phone_set()) == 39


def test_extra_lexicon_wins(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# mine\nhello HH AY  # short\n\nKjhgfd K AA\n")
    lexicon = Lexicon(path)
    assert lexicon.phones("HELLO") == ["HH", "AY"] and lexicon.phones("KJHGFD") == ["K", "AA"]
    assert lexicon.phones("KJHGFD'S") == ["K", "AA", "Z"]


def test_malformed_lines_are_all_named(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("GOOD G UH D\nALONE\nSTRESSED EH1 S\nODD S XX T qq\n")
    with pytest.raises(RecipeError) as caught:
        read_lexicon(path)
    message = str(caught.value)
    assert "3 malformed" in message
    assert f"{path}, line 2: 'ALONE' has no phones" in message
    assert "line 3: field 2, 'EH1', is not a phone" in message
    assert "line 4: field 3, 'XX', is not a phone; field 5, 'qq', is not a phone" in message


def test_missing_and_binary_lexicons_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        Lexicon(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not a UTF-8"):
        Lexicon(tmp_path / "binary.txt")


def real_sentences():
    """Transcripts of the real data, or a few of the same kind."""
    voicebank, speech = shared_data("voicebank_real"), shared_data("real_speech")
    if voicebank is None or speech is None:
        warnings.warn("no real transcripts at hand: a few sentences stand in")
        return [
            *SENTENCES.values(),
            "Super-imposition of a number of bows.",
            "IT S all in the hair.",
            "RECEIV'D BY MA'AMSELLE",
        ]
    sentences = [path.read_text(encoding="utf-8") for path in voicebank.glob("t*txt/*.txt")]
    with open(speech / "manifest.csv", newline="", encoding="utf-8") as file:
        return sentences + [row["words"] for row in csv.DictReader(file)]


def test_real_transcripts_resolve():
    unknown = {
        word
        for sentence in real_sentences()
        for word in words_of(sentence)
        if not LEXICON.phones(word)
    }
    assert unknown == set()
