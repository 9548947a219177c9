"""Word, character and phone error rates, with the counts of every utterance kept."""

import jiwer

# unit -> names of errors and reference length in a record, and of the rate in a summary
NAMES = {
    "word": ("word_errors", "words", "wer"),
    "char": ("char_errors", "chars", "cer"),
    "phone": ("phone_errors", "phones", "per"),
}


class ErrorRates:
    """Collects references and hypotheses and sums their errors up.

    ``units``: ``("word", "char")`` for words, ``("phone",)`` for phones. Rates are percent of the reference length,
    summed over utterances before dividing, and may pass 100. Text is compared as it comes: normalise it before.
    """

    def __init__(self, units=("word", "char")):
        unknown = [unit for unit in units if unit not in NAMES]
        if unknown:
            raise ValueError(f"unknown units {unknown}: known are {list(NAMES)}")
        self.units = tuple(units)
        self.records = []

    def add(self, utt_id, reference, hypothesis):
        """Add one utterance and return its record; texts are lists of tokens, or strings with spaces between them."""
        reference, hypothesis = as_tokens(reference), as_tokens(hypothesis)
        record = {
            "id": utt_id,
            "reference": " ".join(reference),
            "hypothesis": " ".join(hypothesis),
        }
        for unit in self.units:
            errors_name, length_name, _ = NAMES[unit]
            record[errors_name], record[length_name] = count_errors(
                reference, hypothesis, by_character=unit == "char"
            )
        self.records.append(record)
        return record

    def add_batch(self, utt_ids, references, hypotheses):
        """Add several utterances."""
        for utterance in zip(utt_ids, references, hypotheses, strict=True):
            self.add(*utterance)

    def summary(self):
        """Return rate name -> percent; NaN where all references are empty."""
        return {NAMES[unit][2]: self._rate(*NAMES[unit][:2]) for unit in self.units}

    def empty_references(self):
        """Return the ids of utterances without reference; what was heard in them counts as inserted."""
        return [record["id"] for record in self.records if not record["reference"]]

    def _rate(self, errors_name, length_name):
        return percent(
            sum(r[errors_name] for r in self.records), sum(r[length_name] for r in self.records)
        )


def as_tokens(text):
    """Return a list of tokens; empty ones, which some tokenizers leave, are dropped."""
    return text.split() if isinstance(text, str) else [token for token in text if token.strip()]


def count_errors(reference, hypothesis, by_character=False):
    """Return (errors, reference length) of two lists of tokens; characters include the spaces between words."""
    if not reference or not hypothesis:  # not every release of jiwer takes empty text
        lengths = [len(" ".join(x)) if by_character else len(x) for x in (reference, hypothesis)]
        return max(lengths), lengths[0]
    process = jiwer.process_characters if by_character else jiwer.process_words
    found = process(" ".join(reference), " ".join(hypothesis))
    missed = found.substitutions + found.deletions
    return missed + found.insertions, found.hits + missed


def percent(errors, length):
    """Return 100 errors / length, NaN without length."""
    return 100.0 * errors / length if length else float("nan")
