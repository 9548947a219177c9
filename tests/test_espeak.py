"""espeak-ng: phonemes of words, and errors with their remedy."""

import sys

import pytest

from corpus import espeak
from errors import RecipeError


def test_phonemes_are_without_stress_and_blanks():
    engine = espeak.engine(espeak.package_folder())
    assert engine.phonemes("en-us", "the cabman, again") == list("ðəkæbmənɐɡɛn")


def test_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(RecipeError, match="pip install espeakng-loader"):
        espeak.package_folder()


def test_too_long_a_path_is_told_with_the_remedy(tmp_path):
    with pytest.raises(RecipeError, match="TMPDIR"):
        espeak.Engine(espeak.prepare_data(tmp_path / ("x" * 160), {}))
    assert espeak.Engine(espeak.package_folder()).phonemes("en-us", "cab") == ["k", "æ", "b"]


def test_unknown_voice_is_told():
    with pytest.raises(RecipeError, match="nobody"):
        espeak.engine(espeak.package_folder()).phonemes("nobody", "cab")
