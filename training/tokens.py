"""Targets of a recognizer: phones, characters or sentencepiece pieces, learned from the training manifest."""

import json
import tempfile
from pathlib import Path

import sentencepiece
from speechbrain.dataio.encoder import CTCTextEncoder
from speechbrain.tokenizers.SentencePiece import SentencePiece

from errors import RecipeError

KINDS = ("phones", "characters", "pieces")
SPACE = "_"  # how a blank between words is written in the character inventory


def build_tokens(kind, folder, train_annotation, output_neurons):
    """The tokens saved in ``folder``, or learned from the training manifest (JSON) and saved there.

    Raises RecipeError when ``output_neurons`` cannot hold the inventory.
    """
    if kind not in KINDS:
        raise RecipeError(f"targets: {kind!r} is not one of {', '.join(KINDS)}.")
    Path(folder).mkdir(parents=True, exist_ok=True)
    builder = PieceTokens if kind == "pieces" else SymbolTokens
    return builder(kind, folder, train_annotation, output_neurons)


def texts_of(annotation, field):
    """One field of every utterance of a manifest."""
    with open(annotation, encoding="utf-8") as stream:
        return [entry[field] for entry in json.load(stream).values()]


class SymbolTokens:
    """Phones or characters: blank 0, begin 1, end 2, the inventory from 3 on."""

    blank, begin, end = 0, 1, 2

    def __init__(self, kind, folder, train_annotation, output_neurons):
        self.field = "phones" if kind == "phones" else "words"
        self.encoder = CTCTextEncoder()
        file = Path(folder) / f"{kind}.txt"
        if not file.exists():
            self._learn(train_annotation, file)
        self.encoder = CTCTextEncoder()
        self.encoder.load(file)
        self.encoder.expect_len(len(self.encoder))
        if len(self.encoder) > output_neurons:
            raise RecipeError(
                f"output_neurons: {output_neurons} outputs cannot hold the {len(self.encoder)} {kind} of the training "
                f"manifest (3 specials among them). Give --output_neurons={len(self.encoder)} or more."
            )

    def _learn(self, annotation, file):
        inventory = sorted(
            {symbol for text in texts_of(annotation, self.field) for symbol in self._split(text)}
        )
        self.encoder.insert_blank(index=self.blank)
        self.encoder.insert_bos_eos(bos_index=self.begin, eos_index=self.end)
        self.encoder.update_from_iterable(inventory, sequence_input=False)
        aside = file.with_suffix(".part")
        self.encoder.save(aside)
        aside.replace(file)

    def _split(self, text):
        return text.split() if self.field == "phones" else list(text.replace(" ", SPACE))

    def encode(self, text):
        """Text -> list of indices; symbols that training never saw are left out."""
        return [
            self.encoder.lab2ind[symbol]
            for symbol in self._split(text)
            if symbol in self.encoder.lab2ind
        ]

    def decode(self, indices):
        """Indices -> phones joined by blanks, or words; outputs to spare, which stand for nothing, are left out."""
        symbols = [
            self.encoder.ind2lab[index] for index in indices if self.end < index < len(self.encoder)
        ]
        return (
            " ".join(symbols)
            if self.field == "phones"
            else "".join(symbols).replace(SPACE, " ").strip()
        )


class PieceTokens:
    """Sentencepiece unigram pieces: unknown and blank 0, begin 1, end 2 (a CTC scorer wants three different ones)."""

    blank, begin, end = 0, 1, 2
    field = "words"

    def __init__(self, kind, folder, train_annotation, output_neurons):
        model = Path(folder) / f"{output_neurons}_unigram.model"
        if not model.exists():
            with tempfile.TemporaryDirectory(dir=folder) as aside:  # sentencepiece writes in place
                self._learn(aside, train_annotation, output_neurons)
                (Path(aside) / model.name).replace(model)
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))

    def _learn(self, folder, annotation, output_neurons):
        try:
            SentencePiece(
                model_dir=str(folder),
                vocab_size=output_neurons,
                annotation_train=str(annotation),
                annotation_read="words",
                annotation_format="json",
                model_type="unigram",
                bos_id=self.begin,
                eos_id=self.end,
            )
        except RuntimeError as error:
            raise RecipeError(
                f"output_neurons: {output_neurons} pieces cannot be learned from the training transcripts ({error}). "
                "Give a smaller --output_neurons, or --targets=characters."
            ) from error

    def encode(self, text):
        """Text -> list of indices."""
        return self.pieces.encode(text)

    def decode(self, indices):
        """Indices -> words."""
        return self.pieces.decode([int(index) for index in indices if index > self.end])


class FolderPieces(PieceTokens):
    """The pieces of a recognizer that was trained elsewhere, with its own specials (often one for all three)."""

    def __init__(self, pieces, blank, begin, end):
        self.pieces, self.blank, self.begin, self.end = pieces, blank, begin, end

    def decode(self, indices):
        """Indices -> words."""
        specials = {self.blank, self.begin, self.end}
        return self.pieces.decode([int(index) for index in indices if int(index) not in specials])
