"""Transcripts in one spelling: upper case, A to Z and apostrophes, numbers written out.

A hyphenated word stays one token, because dictionaries hold some of them whole (``X-RAY``). A sign
or letter without a reading here stays as it is: the lexicon then reports it as unknown.
"""

import re
import unicodedata

from num2words import num2words

READINGS = {
    **dict.fromkeys("’‘‛ʼʻ′`´", "'"),
    **dict.fromkeys("\u2010\u2011", "-"),
    **dict.fromkeys("–—―", " "),
    **dict.fromkeys("™®©", ""),
    **{"&": " AND ", "%": " PERCENT ", "+": " PLUS ", "@": " AT ", "°": " DEGREES ", "№": "No. "},
    **{"Æ": "AE", "æ": "AE", "Œ": "OE", "œ": "OE", "Ø": "O", "ø": "O", "Ł": "L", "ł": "L"},
    **{"Đ": "D", "đ": "D", "Ð": "D", "ð": "D", "Þ": "TH", "þ": "TH"},
}
SPOKEN_PUNCTUATION = "#§‰"  # the rest is silent
OTHER_VALUE = re.compile("<(super|sub|fraction|circle|square)>")  # m² is not M TWO
MONEY = {"$": "DOLLAR", "£": "POUND", "€": "EURO"}

WHOLE = r"\d{1,3}(?:,\d{3}){1,4}(?!,?\d)|\d+"
AMOUNT = re.compile(
    rf"([$£€]) ?({WHOLE})(?:\.(\d\d)\b|(\.\d+)?([ -](?:HUNDRED|THOUSAND|[MBT]R?ILLION))?\b)"
)
RANKED = re.compile(r"\b(\d{1,3}(?:,\d{3})+|\d{1,15})(ST|ND|RD|TH|'?S)\b")  # 1ST, 1990S
LETTER_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
NUMBER = re.compile(rf"({WHOLE})(?:\.(\d+))?|(?<![\w.])\.(\d+)")
TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[^\w\s]")


def words_of(sentence: str) -> list[str]:
    """Split a sentence into upper-case tokens: ``"It's 5 o'clock."`` -> IT'S, FIVE, O'CLOCK."""
    text = re.sub(r"\bN[oO]\. ?(?=\d)", "NUMBER ", _plain(sentence)).upper()
    text = re.sub(r"\b(?:[A-Z]\.){2,}", lambda found: found[0].replace(".", " "), text)
    text = re.sub(r"(?<=\d)/(?=\d)", " \u2044 ", text)  # 1/2: a half, or the first of February?
    text = re.sub(r"(?<![^\s(])[-\u2212](?=\d)", " MINUS ", text.replace("--", " "))
    text = re.sub(r"\b(\d\d?):00\b", r"\1 O'CLOCK", text)
    text = RANKED.sub(_ranked, AMOUNT.sub(_amount, text))
    text = NUMBER.sub(_number, LETTER_DIGIT.sub(" ", text))
    return [
        token
        for token in TOKEN.findall(text)
        if token in SPOKEN_PUNCTUATION or not unicodedata.category(token[0]).startswith("P")
    ]


def as_words(tokens: list[str]) -> str:
    """Join tokens to the text of a manifest, hyphens as spaces: X-RAY, ROOM -> ``"X RAY ROOM"``."""
    return " ".join(tokens).replace("-", " ")


def number_in_words(digits: str, to: str = "cardinal") -> str:
    """``"21"`` -> ``"TWENTY ONE"``; ``to``: a kind of num2words, such as ordinal."""
    plain = digits.isdecimal()  # long and zero-led ones are read digit by digit, as of telephones
    if plain and to == "cardinal" and (len(digits) > 6 or digits[:-1].startswith("0")):
        return " ".join(number_in_words(digit) for digit in digits)
    number = int(digits.replace(",", ""))
    if plain and to == "cardinal" and (1100 <= number < 2000 or 2010 <= number < 2100):
        to = "year"
    return re.sub("[-,]", " ", num2words(number, to=to)).upper()


def _plain(sentence):
    """Read signs as words; bring letters to A to Z without accents, ligatures, invisible marks."""
    text = ""
    for sign in "".join(READINGS.get(sign, sign) for sign in sentence):
        same = OTHER_VALUE.match(unicodedata.decomposition(sign))
        text += sign if same else unicodedata.normalize("NFKD", sign)
    return "".join(sign for sign in text if unicodedata.category(sign) not in ("Mn", "Me", "Cf"))


def _amount(found):
    """$5.50 -> 5 DOLLARS 50; $3.5 MILLION -> 3.5 MILLION DOLLARS."""
    sign, whole, cents, fraction, scale = found.groups(default="")
    plural = "" if whole + fraction + scale == "1" else "S"
    cents = "" if cents == "00" else cents
    return f"{whole}{fraction}{scale} {MONEY[sign]}{plural} {cents} "


def _ranked(found):
    """1ST -> FIRST, 1990S -> NINETEEN NINETIES."""
    digits, ending = found.groups()
    if ending in ("ST", "ND", "RD", "TH"):
        return number_in_words(digits, to="ordinal")
    plural = number_in_words(digits) + "S"
    return re.sub("XS$", "XES", re.sub("YS$", "IES", plural))


def _number(found):
    whole, *fractions = found.groups(default="")
    fraction = "".join(fractions)
    point = f" POINT {' '.join(map(number_in_words, fraction))}" if fraction else ""
    return f" {number_in_words(whole) if whole else ''}{point} "
