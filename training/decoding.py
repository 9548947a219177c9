"""From posteriors to token sequences, with SpeechBrain's searchers."""

from collections.abc import Callable

import torch
from speechbrain.decoders import (
    CoverageScorer,
    CTCBeamSearcher,
    CTCScorer,
    RNNLMScorer,
    S2SRNNBeamSearcher,
    S2SRNNGreedySearcher,
    ScorerBuilder,
)
from speechbrain.decoders.ctc import ctc_greedy_decode

from errors import RecipeError
from training.tokens import Tokens

KINDS = ("ctc_greedy", "ctc_beam", "attention_greedy", "attention_beam")
BEAM = {
    "size": 8,  # hypotheses kept
    "ctc_weight": 0.0,  # shares of the scorers in an attention beam search; 0: left out
    "coverage": 0.0,
    "lm_weight": 0.0,
    "eos_threshold": 10.0,  # how many times likelier than other tokens the end must be
    "max_attn_shift": 240,  # frames that the attention's peak may move between two tokens
    "temperature": 1.25,  # of the decoder's softmax
}
PRIVATE = 0xE000  # tokens as characters of a private area: the CTC beam searcher takes only text


class Decoding:
    """A search by its name, with its settings.

    Arguments
    ---------
    kind : str
        ctc_greedy, ctc_beam, attention_greedy or attention_beam.
    beam : dict or None
        Settings of the beam searches, of those in ``BEAM``; missing ones are as there.
    lm : torch.nn.Module or None
        RNN language model on the same tokens, for ``lm_weight``.
    """

    def __init__(self, kind: str, beam: dict | None = None, lm: torch.nn.Module | None = None):
        if kind not in KINDS:
            raise RecipeError(f"decoding_by: {kind!r} is not one of {', '.join(KINDS)}.")
        self.kind, self.beam, self.lm = kind, {**BEAM, **(beam or {})}, lm
        for key, value in self.beam.items():
            if key not in BEAM:
                raise RecipeError(f"beam: {key!r} is not one of {', '.join(BEAM)}.")
            whole = isinstance(BEAM[key], int)
            if type(value) not in ((int,) if whole else (int, float)) or value < whole:
                accepted = "a whole number above 0" if whole else "a number of 0 or more"
                raise RecipeError(f"beam: {key} is {value!r}; accepted: {accepted}.")

    @property
    def needs(self) -> str:
        """The prediction that the search reads."""
        return "ctc_log_probs" if self.kind.startswith("ctc") else "encoded"

    @property
    def networks(self) -> dict[str, str]:
        """Prediction of each network that the search calls -> the setting that makes it do so."""
        if self.kind.startswith("ctc"):
            return {"ctc_log_probs": f"decoding_by={self.kind}"}
        networks = {"seq_log_probs": f"decoding_by={self.kind}"}
        if self.kind == "attention_beam" and self.beam["ctc_weight"]:
            networks["ctc_log_probs"] = "beam: {ctc_weight}"
        return networks

    def build(
        self,
        tokens: Tokens,
        n_outputs: int,
        ctc_output: torch.nn.Module | None = None,
        attention_decoder: torch.nn.Module | None = None,
    ) -> Callable[[torch.Tensor, torch.Tensor], list[list[int]]]:
        """A function (``needs`` [batch, time, dim], relative lengths [batch]) -> lists of indices.

        What it returns ends before the first end of sentence.
        """
        if self.kind == "ctc_greedy":
            search = _ctc_greedy(tokens.blank)
        elif self.kind == "ctc_beam":
            search = _ctc_beam(tokens.blank, n_outputs, self.beam["size"])
        else:
            search = self._attention(tokens, n_outputs, ctc_output, attention_decoder)

        def decode(posteriors, lens):
            return [until_end(found, tokens.end) for found in search(posteriors.float(), lens)]

        return decode

    def _attention(self, tokens, n_outputs, ctc_output, attention_decoder):
        parts = [attention_decoder.embedding, attention_decoder.decoder, attention_decoder.linear]
        common = dict(
            bos_index=tokens.begin,
            eos_index=tokens.end,
            min_decode_ratio=0.0,
            max_decode_ratio=1.0,
        )
        if self.kind == "attention_greedy":
            searcher = S2SRNNGreedySearcher(*parts, **common)
        else:
            searcher = S2SRNNBeamSearcher(
                *parts,
                **common,
                beam_size=self.beam["size"],
                eos_threshold=self.beam["eos_threshold"],
                using_max_attn_shift=True,
                max_attn_shift=self.beam["max_attn_shift"],
                temperature=self.beam["temperature"],
                scorer=self._scorer(tokens, n_outputs, ctc_output, parts[0]),
            )
        return lambda encoded, lens: searcher(encoded, lens)[0]

    def _scorer(self, tokens, n_outputs, ctc_output, embedding):
        scorers, weights = [], {}
        if self.beam["ctc_weight"]:
            if tokens.blank == tokens.end:
                raise RecipeError(
                    "beam: ctc_weight: this recognizer has one token for blank and end of "
                    'sentence, which a CTC scorer cannot tell apart. Give --beam="{ctc_weight: 0}".'
                )
            scorers.append(CTCScorer(ctc_output, tokens.blank, tokens.end))
            weights["ctc"] = self.beam["ctc_weight"]
        if self.beam["coverage"]:
            scorers.append(CoverageScorer(n_outputs))
            weights["coverage"] = self.beam["coverage"]
        if self.beam["lm_weight"] and self.lm:
            self.lm.to(next(embedding.parameters()).device)
            scorers.append(RNNLMScorer(self.lm, self.beam["temperature"]))
            weights["rnnlm"] = self.beam["lm_weight"]
        return ScorerBuilder(full_scorers=scorers, weights=weights) if scorers else None


def _ctc_greedy(blank):
    return lambda log_probs, lens: ctc_greedy_decode(log_probs, lens, blank_id=blank)


def _ctc_beam(blank, n_outputs, size):
    vocabulary = [chr(PRIVATE + index) for index in range(n_outputs)]
    searcher = CTCBeamSearcher(blank, vocabulary, beam_size=size, space_token="")

    def search(log_probs, lens):
        best = [hypotheses[0].text for hypotheses in searcher(log_probs, lens)]
        return [[ord(character) - PRIVATE for character in text] for text in best]

    return search


def until_end(indices: torch.Tensor | list[int], end: int) -> list[int]:
    """A hypothesis up to its end of sentence."""
    indices = [int(index) for index in indices]
    return indices[: indices.index(end)] if end in indices else indices
