"""Targets come from the training manifest and survive the way there and back."""

import json

import pytest

from errors import RecipeError
from training.tokens import build_tokens

WORDS = ["THE CAT SAT ON THE MAT", "A DOG RAN TO THE BIG RED BARN", "BIRDS SING EVERY MORNING"]


@pytest.fixture
def manifest(tmp_path):
    entries = {
        f"u{n}": {"words": text, "phones": "DH AH K AE T"} for n, text in enumerate(WORDS * 10)
    }
    (tmp_path / "train.json").write_text(json.dumps(entries))
    return tmp_path / "train.json"


@pytest.mark.parametrize("kind, outputs", [("characters", 40), ("pieces", 22)])
def test_words_come_back(tmp_path, manifest, kind, outputs):
    for _ in range(2):  # learned, then read from the file
        tokens = build_tokens(kind, tmp_path / "tokens", manifest, outputs)
        assert tokens.decode(tokens.encode(WORDS[1])) == WORDS[1]
        assert max(tokens.encode(WORDS[0])) < outputs


def test_phones_of_any_inventory_and_too_few_outputs(tmp_path, manifest):
    tokens = build_tokens("phones", tmp_path / "tokens", manifest, 8)
    assert tokens.encode("AE K") == [3, 6] and tokens.decode([3, 6]) == "AE K"
    with pytest.raises(RecipeError, match="output_neurons=8"):
        build_tokens("phones", tmp_path / "tokens", manifest, 7)
    with pytest.raises(RecipeError, match="phones, characters, pieces"):
        build_tokens("letters", tmp_path / "tokens", manifest, 7)


def test_spare_outputs_stand_for_nothing(tmp_path, manifest):
    tokens = build_tokens("phones", tmp_path / "tokens", manifest, 20)
    assert tokens.decode([3, 19, 6]) == "AE K"
