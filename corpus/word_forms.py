"""Derive the phones of a word that a dictionary lacks from words that it holds.

Each rule takes the word and ``known``, a function that returns the phones of another word or None, and returns
the phones or None. The rules go from safe (an inflected form) to bold (a compound of two words).
"""

SIBILANTS = {"S", "Z", "SH", "ZH", "CH", "JH"}
VOICELESS = {"P", "T", "K", "F", "TH"}
VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}

# (suffix, what the base may have in its place, the phones that the suffix adds)
SUFFIXES = (
    ("BLY", ("BLE",), "IY"), ("DLY", ("DLE",), "IY"), ("LY", ("",), "L IY"), ("ING", ("", "E"), "IH NG"),
    ("NESS", ("",), "N AH S"), ("INESS", ("Y",), "N AH S"), ("LESS", ("",), "L AH S"), ("FUL", ("",), "F AH L"),
    ("MENT", ("",), "M AH N T"), ("SHIP", ("",), "SH IH P"), ("ABLE", ("", "E"), "AH B AH L"),
    ("ITY", ("E", ""), "AH T IY"), ("ISM", ("", "E"), "IH Z AH M"), ("IST", ("", "E"), "IH S T"),
    ("IER", ("Y",), "ER"), ("ER", ("", "E"), "ER"), ("EST", ("", "E"), "AH S T"), ("ETH", ("", "E"), "AH TH"),
    ("Y", ("", "E"), "IY"),
)  # fmt: skip
PREFIXES = {
    "UN": "AH N",
    "RE": "R IY",
    "MIS": "M IH S",
    "NON": "N AA N",
    "PRE": "P R IY",
    "FORE": "F AO R",
}
# British spelling -> the American one of the dictionary
RESPELLINGS = (
    ("OUR", "OR"), ("ISE", "IZE"), ("ISING", "IZING"), ("ISATION", "IZATION"), ("YSE", "YZE"), ("TRE", "TER"),
    ("BRE", "BER"), ("OGUE", "OG"), ("ENCE", "ENSE"), ("LL", "L"), ("FULFIL", "FULFILL"), ("AE", "E"), ("GREY", "GRAY"),
)  # fmt: skip
CONTRACTIONS = {"LL": "AH L", "VE": "V", "RE": "ER", "M": "M"}


def plural(phones):
    """Add the ending of a plural or possessive: IH Z after a hiss, S after a voiceless phone, Z otherwise."""
    if phones[-1] in SIBILANTS:
        return phones + ["IH", "Z"]
    return phones + (["S"] if phones[-1] in VOICELESS else ["Z"])


def past(phones):
    """Add the ending of a past tense: AH D after T and D, T after a voiceless phone, D otherwise."""
    if phones[-1] in ("T", "D"):
        return phones + ["AH", "D"]
    return phones + (["T"] if phones[-1] in VOICELESS | {"S", "SH", "CH"} else ["D"])


def hyphenated(word, known):
    """FULL-TIME: the phones of its parts, one after the other."""
    if "-" not in word:
        return None
    parts = [known(part) for part in word.split("-")]
    return sum(parts, []) if all(parts) else None


def apostrophe(word, known):
    """HEROD'S, THEY'LL, COULDN'T, O'NEILL, 'TIS, and the elided e of verse (RECEIV'D)."""
    if "'" not in word:
        return known("'" + word, exact=True)
    base, end = word.rsplit("'", 1)
    phones = known(base) if base else None
    if phones and end == "S":
        return plural(phones)
    if phones and end == "D":
        return past(phones)
    if phones and end in CONTRACTIONS:
        return phones + CONTRACTIONS[end].split()
    if word.endswith("N'T") and known(word[:-3]):
        return known(word[:-3]) + ["AH", "N", "T"]
    return known(word.replace("'", "E"), exact=True) or known(word.replace("'", ""), exact=True)


def spelled_out(word, known):
    """BBC: up to five letters without a vowel are read letter by letter."""
    if len(word) > 5 or not word.isalpha() or set(word) & set("AEIOUY"):
        return None
    letters = [known(letter, exact=True) for letter in word]
    return sum(letters, []) if all(letters) else None


def inflected(word, known):
    """CITIES, BOXES, RAINDROPS, CARRIED, STOPPED, WRATHFULLY: a known base and a regular ending."""
    if word.endswith("S") and not word.endswith("SS"):
        phones = _base_of(word, "IES", ("Y",), known) or _base_of(word, "S", ("",), known)
        phones = phones or _base_of(word, "ES", ("",), known)
        return phones and plural(phones)
    if word.endswith("ED"):
        phones = _base_of(word, "IED", ("Y",), known) or _base_of(word, "ED", ("E", ""), known)
        return phones and past(phones)
    for suffix, endings, added in SUFFIXES:
        phones = _base_of(word, suffix, endings, known) if word.endswith(suffix) else None
        if phones:
            return phones + added.split()
    return None


def respelled(word, known):
    """FAVOURABLE, ORGANISE, CENTRE, FULFILMENT: a British spelling of a word known in the American one."""
    for british, american in RESPELLINGS:
        if british in word:
            phones = known(word.replace(british, american), exact=True)
            if phones:
                return phones
    return None


def prefixed(word, known):
    """UNCONTAINABLE, RETRAIN: a prefix before a known word of at least four letters."""
    for prefix, phones in PREFIXES.items():
        rest = word[len(prefix) :] if word.startswith(prefix) else ""
        if len(rest) >= 4 and known(rest):
            return phones.split() + known(rest)
    return None


def compound(word, known):
    """WORKHOUSE, CHURCHYARD: two dictionary words of at least three letters; the most even cut wins."""
    cuts = sorted(range(3, len(word) - 2), key=lambda cut: abs(2 * cut - len(word)))
    for cut in cuts if len(word) >= 7 and word.isalpha() else ():
        first, second = known(word[:cut], exact=True), known(word[cut:], exact=True)
        if first and second:
            return first + second
    return None


RULES = (hyphenated, apostrophe, spelled_out, respelled, inflected, prefixed, compound)


def _base_of(word, suffix, endings, known):
    """Return the phones of the word without the suffix, with each ending in turn, or with a doubled letter undone."""
    stem = word[: -len(suffix)]
    if not word.endswith(suffix) or len(stem) < 3:
        return None
    for ending in endings:
        if known(stem + ending):
            return known(stem + ending)
    doubled = stem[-1] == stem[-2] and suffix in ("ED", "ING", "ER", "EST", "Y", "ISM")
    return known(stem[:-1]) if doubled else None
