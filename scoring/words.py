"""Word, character and phone errors of one utterance."""

import jiwer

from scoring.metrics import RATES

Text = str | list[str]  # tokens, or a string with spaces between them


def word_errors(utt_id: str, reference: Text, hypothesis: Text, metrics=("wer", "cer")) -> dict:
    """The record of one utterance: its texts, and errors and reference length of each metric.

    Texts are compared as they come: normalize them before. ``metrics``: of wer, cer, per.
    """
    reference, hypothesis = plain(reference), plain(hypothesis)
    record = {"id": utt_id, "reference": reference, "hypothesis": hypothesis}
    for name in metrics:
        count = jiwer.process_characters if name == "cer" else jiwer.process_words
        found = count(reference, hypothesis)
        missed = found.substitutions + found.deletions
        errors, length = RATES[name]
        record |= {errors: missed + found.insertions, length: found.hits + missed}
    return record


def plain(text: Text) -> str:
    """Tokens with one space between them, without empty ones, which some tokenizers leave."""
    return " ".join((text if isinstance(text, str) else " ".join(text)).split())
