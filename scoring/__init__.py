"""Scores: speech quality, intelligibility and word errors, one utterance at a time."""
