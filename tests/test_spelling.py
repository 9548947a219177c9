"""From a sentence to words: what is read, what is silent, and what is left to be reported."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.pronunciations import Lexicon
from corpus.spelling import as_words, number_in_words, words_of

LEXICON = Lexicon()


@pytest.mark.parametrize(
    "sentence, words",
    [
        ("Please call Stella.", "PLEASE CALL STELLA"),
        ("There is , according to legend, gold.", "THERE IS ACCORDING TO LEGEND GOLD"),
        ("It\u2019s the boys' 'own' X-ray - isn't it?", "IT'S THE BOYS OWN X RAY ISN'T IT"),
        ("The A9 in the U.S. today", "THE A NINE IN THE U S TODAY"),
        ("... -- !", ""),
    ],
)
def test_words(sentence, words):
    assert as_words(words_of(sentence)) == words


@pytest.mark.parametrize(
    "text, words",
    [
        ("1st, 2nd, 3rd", "FIRST SECOND THIRD"),
        ("21st-century", "TWENTY FIRST CENTURY"),
        ("the 1,000th", "THE ONE THOUSANDTH"),
        ("1990s", "NINETEEN NINETIES"),
        ("'60s", "SIXTIES"),
        ("in 1999", "IN NINETEEN NINETY NINE"),
        ("1,250 people", "ONE THOUSAND TWO HUNDRED AND FIFTY PEOPLE"),
        ("1,000,000", "ONE MILLION"),
        ("3.14 and .5", "THREE POINT ONE FOUR AND POINT FIVE"),
        ("007", "ZERO ZERO SEVEN"),
        ("at -5", "AT MINUS FIVE"),
        ("10:30, 10:00", "TEN THIRTY TEN O'CLOCK"),
        ("No. 5 said no. 5", "NUMBER FIVE SAID NO FIVE"),
    ],
)
def test_numbers(text, words):
    assert as_words(words_of(text)) == words


@pytest.mark.parametrize(
    "text, words",
    [
        ("R&D, 50%", "R AND D FIFTY PERCENT"),
        ("$5 $1", "FIVE DOLLARS ONE DOLLAR"),
        ("$5.50", "FIVE DOLLARS FIFTY"),
        ("£3.5 million", "THREE POINT FIVE MILLION POUNDS"),
        ("20°C", "TWENTY DEGREES C"),
    ],
)
def test_signs_that_are_spoken(text, words):
    assert as_words(words_of(text)) == words


@pytest.mark.parametrize("mark", "’‘ʼ′`´＇")
def test_typographic_apostrophes_are_apostrophes(mark):
    assert words_of(f"{mark}don{mark}t{mark}") == ["DON'T"]


@pytest.mark.parametrize("dash", ["–", "—", "--", " - ", "…", "―"])
def test_dashes_part_words(dash):
    assert words_of(f"yes{dash}no") == ["YES", "NO"]


@pytest.mark.parametrize("hyphen", "-\u2010\u2011")
def test_hyphens_join_words(hyphen):
    assert words_of(f"X{hyphen}ray") == ["X-RAY"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("ﬁne", "FINE"),
        ("Ｆｕｌｌ １２", "FULL TWELVE"),
        ("caf\u00e9 cafe\u0301", "CAFE CAFE"),
        ("Ærø Łódź œuvre Straße", "AERO LODZ OEUVRE STRASSE"),
        ("co\u00adop zero\u200bwidth", "COOP ZEROWIDTH"),
    ],
)
def test_letters_become_latin_ones(text, words):
    assert as_words(words_of(text)) == words


@pytest.mark.parametrize("text", ["москва", "日本", "m²", "½", "1/2", "x → y", "a ~ b", "😀", "#1"])
def test_what_cannot_be_read_is_left_to_be_reported(text):
    assert not all(LEXICON.phones(word) for word in words_of(text))


@given(st.integers(0, 10**15 - 1))
def test_every_number_is_in_known_words(number):
    words = number_in_words(f"{number:,}") + " " + number_in_words(str(number))
    assert all(word in LEXICON.entries for word in words.split())


@given(st.text())
def test_words_are_upper_case_without_stray_marks(text):
    for word in as_words(words_of(text)).split():
        assert word == word.strip("'-") and "-" not in word and word == word.upper()


def test_very_long_numbers_do_not_fail():
    assert words_of("9" * 5000) == ["NINE"] * 5000
    assert words_of("1" + ",000" * 200)[0] == "ONE"
