"""Errors of words, characters and phones by hand."""

from scoring.scores import word_errors


def counted(reference, hypothesis):
    """(word errors, words, character errors, characters)."""
    record = word_errors("a", reference, hypothesis)
    return tuple(record[key] for key in ("word_errors", "words", "char_errors", "chars"))


def test_errors_by_hand():
    assert counted("THE CAT SAT", "THE CAP SAT") == (1, 3, 1, 11)
    assert counted("ON THE MAT", "ON MAT") == (1, 3, 4, 10)
    assert counted("YES", "YES SIR") == (1, 1, 4, 3)


def test_empty_texts():
    assert counted("ONE TWO", "") == (2, 2, 7, 7)
    assert counted("", "NOISE HEARD") == (2, 0, 11, 0)
    assert counted("", "") == (0, 0, 0, 0)


def test_texts_are_kept_and_spaces_do_not_count():
    record = word_errors("a", " ONE  TWO", "ONE   TWO")
    assert (record["reference"], record["hypothesis"]) == ("ONE TWO", "ONE TWO")
    assert (record["word_errors"], record["char_errors"]) == (0, 0)


def test_phones():
    record = word_errors("a", "DH AH K AE T", "DH AH K AH T", ["per"])
    assert (record["phone_errors"], record["phones"]) == (1, 5) and "words" not in record
