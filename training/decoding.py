"""From posteriors to token sequences, with SpeechBrain's searchers."""

from collections.abc import Callable
from functools import partial
from itertools import takewhile

import torch
from speechbrain import decoders
from speechbrain.decoders.ctc import ctc_greedy_decode

from errors import RecipeError
from training.tokens import Tokens

KINDS = ("ctc_greedy", "ctc_beam", "attention_greedy", "attention_beam")
BEAM = {
    "size": 8,  # hypotheses kept
    "ctc_weight": 0.0,  # shares of the scorers of an attention beam search; 0: left out
    "coverage": 0.0,
    "lm_weight": 0.0,
    "eos_threshold": 10.0,  # the end must be so many times likelier than the best other token
    "max_attn_shift": 240,  # frames that the attention's peak may move between two tokens
    "temperature": 1.25,  # of the decoder's softmax
}
PRIVATE = 0xE000  # tokens as characters of a private area: the CTC beam searcher takes only text


class Decoding:
    """A search by its name; ``beam`` holds settings of the beam searches, others than in ``BEAM``.

    ``lm`` is an RNN language model on the same tokens, for ``lm_weight``.
    """

    def __init__(self, kind: str, beam: dict | None = None, lm: torch.nn.Module | None = None):
        self.kind, self.beam, self.lm = kind, {**BEAM, **(beam or {})}, lm

    @property
    def needs(self) -> str:
        """The prediction that the search reads."""
        return "ctc_log_probs" if self.kind.startswith("ctc") else "encoded"

    @property
    def networks(self) -> set[str]:
        """The predictions whose networks the search calls."""
        if self.kind.startswith("ctc"):
            return {"ctc_log_probs"}
        scored = self.kind == "attention_beam" and self.beam["ctc_weight"]
        return {"seq_log_probs", "ctc_log_probs"} if scored else {"seq_log_probs"}

    def build(
        self,
        tokens: Tokens,
        n_outputs: int,
        ctc_output: torch.nn.Module | None = None,
        attention_decoder: torch.nn.Module | None = None,
        **others: torch.nn.Module,
    ) -> Callable[[torch.Tensor, torch.Tensor], list[list[int]]]:
        """A function: ``needs`` [batch, time, dim], relative lengths -> indices before the end.

        It is given a stage's modules by name, and calls the two that it names.
        """
        if self.kind == "ctc_greedy":
            search = partial(ctc_greedy_decode, blank_id=tokens.blank)
        elif self.kind == "ctc_beam":
            search = self._ctc_beam(tokens.blank, n_outputs)
        else:
            search = self._attention(tokens, n_outputs, ctc_output, attention_decoder)
        before_end = partial(takewhile, lambda index: index != tokens.end)
        return lambda x, lens: [list(before_end(map(int, i))) for i in search(x.float(), lens)]

    def _ctc_beam(self, blank, n_outputs):
        vocabulary = [chr(PRIVATE + index) for index in range(n_outputs)]
        size = self.beam["size"]
        searcher = decoders.CTCBeamSearcher(blank, vocabulary, beam_size=size, space_token="")

        def search(log_probs, lens):
            best = [hypotheses[0].text for hypotheses in searcher(log_probs, lens)]
            return [[ord(character) - PRIVATE for character in text] for text in best]

        return search

    def _attention(self, tokens, n_outputs, ctc_output, attention_decoder):
        parts = [attention_decoder.embedding, attention_decoder.decoder, attention_decoder.linear]
        ends = dict(bos_index=tokens.begin, eos_index=tokens.end)
        ends |= dict(min_decode_ratio=0.0, max_decode_ratio=1.0)  # tokens per frame
        if self.kind == "attention_greedy":
            searcher = decoders.S2SRNNGreedySearcher(*parts, **ends)
        else:
            settings = dict(beam_size=self.beam["size"], using_max_attn_shift=True)
            same = ("eos_threshold", "max_attn_shift", "temperature")
            settings |= {key: self.beam[key] for key in same}
            scorer = self._scorer(tokens, n_outputs, ctc_output, attention_decoder)
            searcher = decoders.S2SRNNBeamSearcher(*parts, **ends, **settings, scorer=scorer)
        return lambda encoded, lens: searcher(encoded, lens)[0]

    def _scorer(self, tokens, n_outputs, ctc_output, attention_decoder):
        weights = {"ctc": self.beam["ctc_weight"], "coverage": self.beam["coverage"]}
        weights["rnnlm"] = self.beam["lm_weight"] if self.lm else 0
        scorers = []
        if weights["ctc"]:
            if tokens.blank == tokens.end:
                raise RecipeError(
                    "beam: ctc_weight: this recognizer has one token for blank and end of "
                    'sentence, which a CTC scorer cannot tell apart. Give --beam="{ctc_weight: 0}".'
                )
            scorers.append(decoders.CTCScorer(ctc_output, tokens.blank, tokens.end))
        if weights["coverage"]:
            scorers.append(decoders.CoverageScorer(n_outputs))
        if weights["rnnlm"]:
            lm = self.lm.to(next(attention_decoder.parameters()).device)
            scorers.append(decoders.RNNLMScorer(lm, self.beam["temperature"]))
        weights = {name: weight for name, weight in weights.items() if weight}
        return decoders.ScorerBuilder(weights, full_scorers=scorers) if scorers else None
