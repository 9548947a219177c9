"""Tokenizers as SpeechBrain's inference classes read them: they join labels without anything between."""

from pathlib import Path

from speechbrain.dataio.encoder import CTCTextEncoder

from training.tokens import SPACE


def save_tokenizer(tokens, output_neurons, path):
    """Write a sentencepiece model, or a CTCTextEncoder whose joined labels are text, to ``path``."""
    if hasattr(tokens, "pieces"):
        Path(path).write_bytes(tokens.pieces.serialized_model_proto())
        return
    encoder = CTCTextEncoder()
    for index in range(output_neurons):
        encoder.add_label(label_of(tokens, index)) if index else encoder.insert_blank(index=0)
    encoder.save(path)


def label_of(tokens, index):
    """What an output writes: a blank for the sign between words, a phone with a blank behind, a mark for unused ones."""
    label = tokens.encoder.ind2lab.get(index, f"<unused {index}>")
    if index <= tokens.end:
        return str(label)
    return label + " " if tokens.field == "phones" else label.replace(SPACE, " ")
