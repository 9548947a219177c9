"""Targets of a recognizer: phones, characters or sentencepiece pieces."""

import io
from pathlib import Path

import sentencepiece
import torch
from speechbrain.dataio.encoder import CTCTextEncoder

from corpus.files import whole
from errors import RecipeError
from training.manifest import read_manifest

KINDS = ("phones", "characters", "pieces")
SPACE = "_"  # stands for the space between words among the characters


def build_tokens(
    kind: str, folder: str | Path, train_annotation: str | Path, output_neurons: int
) -> "Tokens":
    """The tokens saved in ``folder``, or those of the training manifest, which are saved there."""
    if kind not in KINDS:
        raise RecipeError(f"targets: {kind!r} is not one of {', '.join(KINDS)}.")
    file = tokens_file(kind, folder)
    if not file.is_file():
        entries = read_manifest(train_annotation).values()
        if kind == "pieces":
            learn_pieces([entry["words"] for entry in entries], output_neurons, file)
        else:
            field = "phones" if kind == "phones" else "words"
            learn_symbols({s for entry in entries for s in split(kind, entry[field])}, file)
    return load_tokens(kind, file, output_neurons)


def tokens_file(kind: str, folder: str | Path) -> Path:
    """Where the tokens of a kind lie in the folder of a run's tokens."""
    return Path(folder) / ("pieces.model" if kind == "pieces" else f"{kind}.txt")


def load_tokens(kind: str, file: Path, output_neurons: int) -> "Tokens":
    """Tokens from their file; RecipeError where the outputs cannot hold them."""
    if kind == "pieces":
        tokens = PieceTokens(sentencepiece.SentencePieceProcessor(model_file=str(file)))
        wrong, accepted = len(tokens) != output_neurons, str(len(tokens))
    else:
        tokens = SymbolTokens(kind, file)
        wrong, accepted = len(tokens) > output_neurons, f"{len(tokens)} or more"
    if wrong:
        raise RecipeError(
            f"output_neurons: {output_neurons} outputs, but {file} has {len(tokens)} {kind}, "
            f"specials among them. Give --output_neurons={accepted}."
        )
    return tokens


def learn_symbols(symbols: set[str], file: Path) -> None:
    """Write the three specials and the sorted symbols."""
    encoder = CTCTextEncoder()
    encoder.insert_blank(index=SymbolTokens.blank)
    encoder.insert_bos_eos(bos_index=SymbolTokens.begin, eos_index=SymbolTokens.end)
    encoder.update_from_iterable(sorted(symbols), sequence_input=False)
    with whole(file) as aside:
        encoder.save(aside)


def learn_pieces(texts: list[str], output_neurons: int, file: Path) -> None:
    """Write a unigram model of the texts; unknown (which is the blank) 0, begin 1, end 2."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=output_neurons,
            model_type="unigram",
            unk_id=PieceTokens.blank,
            bos_id=PieceTokens.begin,
            eos_id=PieceTokens.end,
            pad_id=-1,
            max_sentencepiece_length=10,
            character_coverage=1.0,
            minloglevel=1,
        )
    except RuntimeError as error:
        raise RecipeError(
            f"output_neurons: {output_neurons} pieces cannot be learned from the training "
            f"transcripts ({error}). Give a smaller --output_neurons, or --targets=characters."
        ) from error
    with whole(file) as aside:
        aside.write_bytes(model.getvalue())


def split(kind: str, text: str) -> list[str]:
    """Text -> symbols."""
    return text.split() if kind == "phones" else list(text.replace(" ", SPACE))


class Specials:
    """What a decoder learns from: a token of the beginning before, or of the end after."""

    begin: int
    end: int

    def with_begin(self, tokens: torch.Tensor) -> torch.Tensor:
        """int64 [length] -> [length + 1]"""
        return torch.nn.functional.pad(tokens, (1, 0), value=self.begin)

    def with_end(self, tokens: torch.Tensor) -> torch.Tensor:
        """int64 [length] -> [length + 1]"""
        return torch.nn.functional.pad(tokens, (0, 1), value=self.end)


class SymbolTokens(Specials):
    """Phones or characters: blank 0, begin 1, end 2, the inventory from 3 on."""

    blank, begin, end = 0, 1, 2

    def __init__(self, kind: str, file: Path):
        self.kind, self.field = kind, "phones" if kind == "phones" else "words"
        self.encoder = CTCTextEncoder()
        self.encoder.load(file)
        self.encoder.expect_len(len(self.encoder))

    def __len__(self) -> int:
        return len(self.encoder)

    def encode(self, text: str) -> torch.Tensor:
        """Text -> int64 [length]; symbols that the training set does not have are left out."""
        known = self.encoder.lab2ind
        return torch.LongTensor([known[s] for s in split(self.kind, text) if s in known])

    def decode(self, indices: list[int]) -> str:
        """Indices -> phones joined by spaces, or words; unused outputs are left out."""
        symbols = [self.encoder.ind2lab[int(i)] for i in indices if self.end < i < len(self)]
        if self.kind == "phones":
            return " ".join(symbols)
        return "".join(symbols).replace(SPACE, " ").strip()


class PieceTokens(Specials):
    """Sentencepiece pieces. A recognizer trained elsewhere may have one index for all specials."""

    blank, begin, end = 0, 1, 2  # a CTC scorer needs three different ones
    field = "words"

    def __init__(self, pieces: sentencepiece.SentencePieceProcessor, specials=(0, 1, 2)):
        self.pieces = pieces
        self.blank, self.begin, self.end = specials

    def __len__(self) -> int:
        return self.pieces.vocab_size()

    def encode(self, text: str) -> torch.Tensor:
        """Text -> int64 [length]; characters that the training set does not have are left out."""
        return torch.LongTensor([i for i in self.pieces.encode(text) if i != self.pieces.unk_id()])

    def decode(self, indices: list[int]) -> str:
        """Indices -> words."""
        specials = (self.blank, self.begin, self.end)
        return self.pieces.decode([int(i) for i in indices if int(i) not in specials])


Tokens = SymbolTokens | PieceTokens
