"""Small random models of the package transformers, in folders as the hub has them."""

import json

import torch
from transformers import (
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
)

SIZES = dict(
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=24,
    conv_dim=[8] * 7,
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=2,
)
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]


def speech_model(folder, normalize=True, rate=16000, kind=Wav2Vec2Model, **sizes):
    """A wav2vec 2.0, or another kind of the same sizes, in a folder; returns the folder's name."""
    torch.manual_seed(0)
    kind(kind.config_class(**{**SIZES, **sizes})).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=rate, do_normalize=normalize).save_pretrained(folder)
    return str(folder)


def letters_model(folder):
    """A wav2vec 2.0 that writes letters (CTC), with its tokenizer; returns the folder's name."""
    speech_model(folder, kind=Wav2Vec2ForCTC, vocab_size=len(LETTERS))
    (folder / "letters.json").write_text(
        json.dumps({letter: number for number, letter in enumerate(LETTERS)})
    )
    Wav2Vec2CTCTokenizer(folder / "letters.json").save_pretrained(folder)
    return str(folder)
