"""Transcripts in one spelling: upper case, A to Z and apostrophes, numbers written out.

``words_of`` gives the tokens of a sentence. A hyphenated word stays one token, because dictionaries hold
some of them whole (``X-RAY``); the words of a manifest have a space there (see ``as_words``).
"""

import re
import unicodedata

UNITS = (
    "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN ELEVEN TWELVE THIRTEEN FOURTEEN FIFTEEN SIXTEEN"
    " SEVENTEEN EIGHTEEN NINETEEN"
).split()
TENS = "- - TWENTY THIRTY FORTY FIFTY SIXTY SEVENTY EIGHTY NINETY".split()
SYMBOLS = {"&": " AND ", "%": " PERCENT ", "+": " PLUS ", "@": " AT "}
DOTTED = re.compile(r"\b(?:[A-Z]\.){2,}")  # U.S., E.G.
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
DECIMAL = re.compile(r"(\d+)\.(\d+)")
LETTER_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def words_of(sentence):
    """Split a sentence into upper-case tokens: ``"It's 5 o'clock."`` -> ``["IT'S", "FIVE", "O'CLOCK"]``.

    Punctuation goes, apostrophes and hyphens inside words stay, accents are dropped, dotted abbreviations
    become letters (``U.S.`` -> ``U S``), and numbers are written out (``A9`` -> ``A NINE``).
    """
    text = _plain(sentence)
    text = DOTTED.sub(lambda found: found.group().replace(".", " "), text)
    text = THOUSANDS.sub("", text)
    text = DECIMAL.sub(lambda found: f"{found[1]} POINT {' '.join(found[2])}", text)
    text = LETTER_DIGIT.sub(" ", text)
    return [word for token in TOKEN.findall(text) for word in _written_out(token)]


def as_words(tokens):
    """Join tokens to the text of a manifest, hyphens as spaces: ``["X-RAY", "ROOM"]`` -> ``"X RAY ROOM"``."""
    return " ".join(tokens).replace("-", " ")


def number_in_words(number):
    """``1999`` -> ``["ONE", "THOUSAND", "NINE", "HUNDRED", "AND", "NINETY", "NINE"]``, for 0 to 999,999."""
    if number < 20:
        return [UNITS[number]]
    if number < 100:
        return [TENS[number // 10]] + (number_in_words(number % 10) if number % 10 else [])
    size, name, joint = (100, "HUNDRED", ["AND"]) if number < 1000 else (1000, "THOUSAND", [])
    rest = joint + number_in_words(number % size) if number % size else []
    return number_in_words(number // size) + [name] + rest


def _plain(sentence):
    text = sentence.replace("\u2019", "'").replace("\u2018", "'")
    text = text.replace("\u2013", " ").replace("\u2014", " ").replace("--", " ")
    for symbol, word in SYMBOLS.items():
        text = text.replace(symbol, word)
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).upper()


def _written_out(token):
    """Write out the numbers of a token; long or zero-led ones digit by digit, as a telephone number is read."""
    if not any(part.isdigit() for part in token.split("-")):
        return [token]
    return [word for part in token.split("-") for word in _number_or_word(part)]


def _number_or_word(part):
    if not part.isdecimal():
        return [part]
    if len(part) > 6 or (len(part) > 1 and part.startswith("0")):
        return [UNITS[int(digit)] for digit in part]
    return number_in_words(int(part))
