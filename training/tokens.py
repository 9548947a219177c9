"""Targets of a recognizer: phones, characters or sentencepiece pieces."""

import io
from pathlib import Path

import torch
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from speechbrain.dataio.encoder import CTCTextEncoder

from corpus.files import whole
from errors import RecipeError
from training.manifest import read_manifest

KINDS = ("phones", "characters", "pieces")
SPACE = "_"  # stands for the space between words among the characters


def build_tokens(
    kind: str, folder: str | Path, train_annotation: str | Path, output_neurons: int
) -> "Tokens":
    """The tokens saved in ``folder``, or those of the training manifest, which are saved there.

    RecipeError where the outputs cannot hold them.
    """
    file, pieces = tokens_file(kind, folder), kind == "pieces"
    if not file.is_file():
        field = "phones" if kind == "phones" else "words"
        texts = [entry[field] for entry in read_manifest(train_annotation, texts=[field]).values()]
        with whole(file) as aside:
            if pieces:
                aside.write_bytes(learned_pieces(texts, output_neurons))
            else:
                symbols = {symbol for text in texts for symbol in split(kind, text)}
                encoder = CTCTextEncoder()
                encoder.insert_blank(index=SymbolTokens.blank)
                encoder.insert_bos_eos(bos_index=SymbolTokens.begin, eos_index=SymbolTokens.end)
                encoder.update_from_iterable(sorted(symbols), sequence_input=False)
                encoder.save(aside)
    tokens = PieceTokens(SentencePieceProcessor(str(file))) if pieces else SymbolTokens(kind, file)
    if len(tokens) > output_neurons or pieces and len(tokens) < output_neurons:
        more = "" if pieces else " or more"
        raise RecipeError(
            f"output_neurons: {output_neurons} outputs, but {file} has {len(tokens)} {kind}, "
            f"specials among them. Give --output_neurons={len(tokens)}{more}."
        )
    return tokens


def tokens_file(kind: str, folder: str | Path) -> Path:
    """Where tokens lie in their folder."""
    return Path(folder) / ("pieces.model" if kind == "pieces" else f"{kind}.txt")


def learned_pieces(texts: list[str], output_neurons: int) -> bytes:
    """A unigram model with SpeechBrain's settings; unknown (and blank) 0, begin 1, end 2."""
    model = io.BytesIO()
    ids = dict(unk_id=0, bos_id=PieceTokens.begin, eos_id=PieceTokens.end, pad_id=-1)
    settings = dict(model_type="unigram", vocab_size=output_neurons, minloglevel=1)
    settings |= dict(max_sentencepiece_length=10, character_coverage=1.0)
    settings |= dict(sentence_iterator=iter(texts), model_writer=model)
    try:
        SentencePieceTrainer.train(**ids, **settings)
    except RuntimeError as error:
        raise RecipeError(
            f"output_neurons: {output_neurons} pieces cannot be learned from the training "
            f"transcripts ({error}). Give a smaller --output_neurons, or --targets=characters."
        ) from error
    return model.getvalue()


def split(kind: str, text: str) -> list[str]:
    """Text -> symbols."""
    return text.split() if kind == "phones" else list(text.replace(" ", SPACE))


class SymbolTokens:
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


class PieceTokens:
    """Sentencepiece pieces. A recognizer trained elsewhere may have one index for all specials."""

    blank, begin, end = 0, 1, 2  # a CTC scorer needs three different ones
    field = "words"

    def __init__(self, pieces: SentencePieceProcessor, specials=(0, 1, 2)):
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


def targets(tokens: Tokens, text: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Text -> indices; after the begin, and before the end of sentence: int64 [length (+ 1)]."""
    indices = tokens.encode(text)
    pad = torch.nn.functional.pad
    return indices, pad(indices, (1, 0), value=tokens.begin), pad(indices, (0, 1), value=tokens.end)
