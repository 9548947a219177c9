"""Targets come from the training manifest and survive the way there and back."""

import json
import os
import pickle

import pytest

from errors import RecipeError
from training.tokens import build_tokens

WORDS = ["THE CAT SAT ON THE MAT", "A DOG RAN TO THE BIG RED BARN", "BIRDS SING EVERY MORNING"]


@pytest.fixture
def manifest(tmp_path):
    entries = {
        f"u{n}": {
            "noisy_wav": "n.wav",
            "clean_wav": "c.wav",
            "length": 1.0,
            "words": text,
            "phones": "DH AH K AE T",
        }
        for n, text in enumerate(WORDS * 10)
    }
    (tmp_path / "train.json").write_text(json.dumps(entries))
    return tmp_path / "train.json"


@pytest.mark.parametrize("kind, outputs", [("characters", 40), ("pieces", 22)])
def test_words_come_back(tmp_path, manifest, kind, outputs):
    folder = tmp_path / "my results" / "tokens"
    for _ in range(2):  # learned, then read from the file
        tokens = build_tokens(kind, folder, manifest, outputs)
        assert tokens.decode(tokens.encode(WORDS[1])) == WORDS[1]
        assert max(tokens.encode(WORDS[0])) < outputs
        manifest.unlink(missing_ok=True)
    copy = pickle.loads(pickle.dumps(tokens))
    assert list(copy.encode(WORDS[0])) == list(tokens.encode(WORDS[0]))
    assert len(os.listdir(folder)) == 1  # no temporary files


def test_pieces_are_those_that_speechbrain_learns(tmp_path, manifest):
    from speechbrain.tokenizers.SentencePiece import SentencePiece

    theirs = SentencePiece(
        str(tmp_path / "theirs"), 22, str(manifest), "words", annotation_format="json",
        model_type="unigram", bos_id=1, eos_id=2,
    )  # fmt: skip
    ours = build_tokens("pieces", tmp_path / "ours", manifest, 22)
    assert [ours.pieces.id_to_piece(i) for i in range(22)] == [
        theirs.sp.id_to_piece(i) for i in range(22)
    ]


def test_phones_of_any_inventory_and_too_few_outputs(tmp_path, manifest):
    tokens = build_tokens("phones", tmp_path / "tokens", manifest, 8)
    assert list(tokens.encode("AE K")) == [3, 6] and tokens.decode([3, 6]) == "AE K"
    with pytest.raises(RecipeError, match="output_neurons=8"):
        build_tokens("phones", tmp_path / "tokens", manifest, 7)


def test_spare_outputs_and_unseen_symbols_are_left_out(tmp_path, manifest):
    phones = build_tokens("phones", tmp_path / "tokens", manifest, 20)
    assert phones.decode([3, 19, 6]) == "AE K" and list(phones.encode("AE ZH K")) == [3, 6]
    pieces = build_tokens("pieces", tmp_path / "tokens", manifest, 22)
    assert pieces.blank not in pieces.encode("CAT Q")  # CTC takes no blank as a target


def test_too_many_pieces_and_other_pieces_than_outputs_are_told(tmp_path, manifest):
    with pytest.raises(RecipeError, match="(?s)1000 pieces.*smaller --output_neurons"):
        build_tokens("pieces", tmp_path / "tokens", manifest, 1000)
    build_tokens("pieces", tmp_path / "tokens", manifest, 22)
    with pytest.raises(RecipeError, match="Give --output_neurons=22"):
        build_tokens("pieces", tmp_path / "tokens", manifest, 23)


def test_a_mistyped_manifest_is_told(tmp_path):
    with pytest.raises(RecipeError, match="gone.json"):
        build_tokens("characters", tmp_path / "tokens", tmp_path / "gone.json", 30)
