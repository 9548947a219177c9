"""From posteriors to token sequences, with SpeechBrain's searchers."""

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

KINDS = ("ctc_greedy", "ctc_beam", "attention_greedy", "attention_beam")
FIRST_PRIVATE = (
    0xE000  # tokens as characters of Unicode's private area: the CTC searcher speaks text only
)


def check_decoding(kind):
    """RecipeError when a decoding has no such name."""
    if kind not in KINDS:
        raise RecipeError(f"decoding: {kind!r} is not one of {', '.join(KINDS)}.")


class Decoding:
    """What every searcher of this recipe is told.

    Arguments
    ---------
    kind : str
        ctc_greedy, ctc_beam, attention_greedy or attention_beam.
    beam_size : int
        Hypotheses kept, for the beam searches.
    ctc_weight, coverage_weight, lm_weight : float
        Shares of the CTC scorer, coverage scorer and RNN language model in an attention beam search; 0 leaves one out.
    max_ratio : float
        Longest hypothesis, as a share of the encoder's frames.
    eos_threshold : float
        The end of sentence must be this many times likelier than the best other token.
    max_attention_shift : int
        Frames that the attention's peak may move between two tokens.
    temperature : float
        Of the decoder's softmax.
    lm : torch.nn.Module
        RNN language model on the same tokens, or None: then ``lm_weight`` does nothing.
    """

    def __init__(
        self,
        kind,
        beam_size=8,
        ctc_weight=0.0,
        coverage_weight=0.0,
        lm_weight=0.0,
        max_ratio=1.0,
        eos_threshold=10.0,
        max_attention_shift=240,
        temperature=1.25,
        lm=None,
    ):
        check_decoding(kind)
        self.kind, self.beam_size, self.lm = kind, beam_size, lm
        self.weights = {"ctc": ctc_weight, "coverage": coverage_weight, "rnnlm": lm_weight}
        self.search = dict(
            min_decode_ratio=0.0,
            max_decode_ratio=max_ratio,
            eos_threshold=eos_threshold,
            temperature=temperature,
        )
        self.max_attention_shift = max_attention_shift

    @property
    def needs(self):
        """Names of the predictions that the search reads."""
        return ["ctc_log_probs"] if self.kind.startswith("ctc") else ["encoded"]

    @property
    def networks(self):
        """Prediction of a network that the search calls -> the settings that make it do so."""
        if self.kind.startswith("ctc"):
            return {"ctc_log_probs": f"decoding_by={self.kind}"}
        scored = (
            {"ctc_log_probs": "beam_ctc_weight"}
            if self.kind == "attention_beam" and self.weights["ctc"]
            else {}
        )
        return {"seq_log_probs": f"decoding_by={self.kind}", **scored}

    def build(self, tokens, n_outputs, ctc_output=None, attention_decoder=None):
        """A function (posteriors or encoding [batch, time, dim], relative lengths [batch]) -> list of index lists."""
        if self.kind == "ctc_greedy":
            return lambda log_probs, lens: ctc_greedy_decode(log_probs, lens, blank_id=tokens.blank)
        if self.kind == "ctc_beam":
            return self._ctc_beam(tokens, n_outputs)
        return self._attention(tokens, n_outputs, ctc_output, attention_decoder)

    def _ctc_beam(self, tokens, n_outputs):
        vocabulary = [chr(FIRST_PRIVATE + index) for index in range(n_outputs)]
        searcher = CTCBeamSearcher(
            tokens.blank, vocabulary, beam_size=self.beam_size, space_token=""
        )

        def search(log_probs, lens):
            best = [hypotheses[0].text for hypotheses in searcher(log_probs, lens)]
            return [[ord(character) - FIRST_PRIVATE for character in text] for text in best]

        return search

    def _attention(self, tokens, n_outputs, ctc_output, attention_decoder):
        parts = [attention_decoder.embedding, attention_decoder.decoder, attention_decoder.linear]
        ends = dict(bos_index=tokens.begin, eos_index=tokens.end)
        if self.kind == "attention_greedy":
            searcher = S2SRNNGreedySearcher(
                *parts, **ends, min_decode_ratio=0.0, max_decode_ratio=1.0
            )
        else:
            searcher = S2SRNNBeamSearcher(
                *parts,
                **ends,
                **self.search,
                beam_size=self.beam_size,
                using_max_attn_shift=True,
                max_attn_shift=self.max_attention_shift,
                scorer=self._scorer(
                    tokens, n_outputs, ctc_output, next(attention_decoder.parameters()).device
                ),
            )
        return lambda encoded, lens: searcher(encoded, lens)[0]

    def _scorer(self, tokens, n_outputs, ctc_output, device):
        if self.weights["ctc"] and tokens.blank == tokens.end:
            raise RecipeError(
                "beam_ctc_weight: this recognizer has one token for blank and end of sentence, which a CTC scorer cannot tell "
                "apart. Give --beam_ctc_weight=0."
            )
        makers = {
            "ctc": lambda: CTCScorer(
                ctc_fc=ctc_output, blank_index=tokens.blank, eos_index=tokens.end
            ),
            "coverage": lambda: CoverageScorer(vocab_size=n_outputs),
            "rnnlm": lambda: RNNLMScorer(
                language_model=self.lm.to(device), temperature=self.search["temperature"]
            ),
        }
        weights = {
            name: weight
            for name, weight in self.weights.items()
            if weight and (name != "rnnlm" or self.lm)
        }
        if not weights:
            return None
        return ScorerBuilder(full_scorers=[makers[name]() for name in weights], weights=weights)


def strip_after_end(indices, end):
    """A hypothesis up to its end-of-sentence token."""
    indices = [int(index) for index in indices]
    return indices[: indices.index(end)] if end in indices else indices


def as_lists(hypotheses):
    """Tensors or lists -> lists of int."""
    return [h.tolist() if isinstance(h, torch.Tensor) else list(h) for h in hypotheses]
