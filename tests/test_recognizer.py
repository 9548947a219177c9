"""SpeechBrain's recognizer folder: loaded as SpeechBrain would, decoded with its language model."""

import json

import pytest
import sentencepiece
import torch
from speechbrain.decoders import CoverageScorer, RNNLMScorer, S2SRNNBeamSearcher, ScorerBuilder
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.RNNLM import RNNLM
from speechbrain.nnet.embedding import Embedding
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.RNN import LSTM, AttentionalRNNDecoder
from speechbrain.processing.features import InputNormalization

from errors import RecipeError
from models.acoustic import AcousticEncoder, AttentionDecoder
from training.decoding import Decoding
from training.handover import hand_over
from training.recognizer import recognizer_from
from training.tokens import build_tokens

PIECES = 24
ENCODER = dict(input_size=40, cnn_channels=[2, 2], rnn_layers=1, rnn_neurons=4, dnn_neurons=4)
CRDNN_ONLY = dict(time_pooling=True, time_pooling_size=4, rnn_class=LSTM, rnn_bidirectional=True)
SIZES = dict(hidden_size=4, attn_dim=4, channels=10, kernel_size=100)
TEXT = ["THE CAT SAT ON THE MAT", "A DOG RAN TO THE BIG RED BARN", "BIRDS SING EVERY MORNING"] * 10


def speechbrains_parts():
    """Encoder, embedding, decoder and two outputs, random, in the order of asr.ckpt."""
    decoder = AttentionalRNNDecoder(
        rnn_type="gru",
        attn_type="location",
        num_layers=1,
        enc_dim=4,
        input_size=128,
        dropout=0.1,
        **SIZES,
    )
    embedding = Embedding(num_embeddings=PIECES, embedding_dim=128)
    outputs = [Linear(input_size=4, n_neurons=PIECES) for _ in range(2)]
    return torch.nn.ModuleList(
        [CRDNN(**ENCODER, **CRDNN_ONLY), embedding, decoder, *outputs]
    ).eval()


def write_folder(folder, settings="bos_index: 0\neos_index: 0\nblank_index: 0\n"):
    """Write a folder of the published shape; returns its networks and language model."""
    torch.manual_seed(3)
    folder.mkdir()
    model = speechbrains_parts()
    lm = RNNLM(
        PIECES,
        embedding_dim=6,
        dropout=0.0,
        rnn_layers=2,
        rnn_neurons=5,
        dnn_neurons=3,
        return_hidden=True,
    ).eval()
    torch.save(model.state_dict(), folder / "asr.ckpt")
    torch.save(lm.state_dict(), folder / "lm.ckpt")
    normalizer = InputNormalization(norm_type="global")
    normalizer(torch.randn(3, 20, 40) * 2 + 1, torch.ones(3))
    normalizer._save(folder / "normalizer.ckpt")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT),
        model_prefix=str(folder / "pieces"),
        vocab_size=PIECES,
        model_type="unigram",
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    (folder / "pieces.model").rename(folder / "tokenizer.ckpt")
    (folder / "hyperparams.yaml").write_text(
        settings + "beam: !new:not.a.class\n    size: !ref <x>\n"
    )
    return model, lm


def stage(**changes):
    """The objects of a stage that a recognizer is put into."""
    modules = {
        "encoder": AcousticEncoder(**ENCODER, time_pooling=4),
        "ctc_output": Linear(input_size=4, n_neurons=PIECES),
        "attention_decoder": AttentionDecoder(
            PIECES, 4, hidden_size=4, attention_size=4, channels=10, kernel_size=100
        ),
    }
    beam = {"size": 3, "coverage": 1.5, "lm_weight": 0.15}
    values = dict(
        modules=modules,
        decoding=Decoding("attention_beam", beam),
        output_neurons=PIECES,
    )
    return {**values, **changes}


def test_it_decodes_as_speechbrains_own_searcher(tmp_path):
    model, lm = write_folder(tmp_path / "asr")
    hparams = stage()
    tokens = recognizer_from(tmp_path / "asr")(hparams)
    encoder = hparams["modules"]["encoder"].eval()
    features = hparams["normalize"](
        hparams["compute_features"](torch.randn(2, 8000)), torch.ones(2)
    )
    assert torch.allclose(encoder(features), model[0](features), atol=1e-5)
    scorers = [RNNLMScorer(lm, temperature=1.25), CoverageScorer(vocab_size=PIECES)]
    theirs = S2SRNNBeamSearcher(
        embedding=model[1],
        decoder=model[2],
        linear=model[4],
        bos_index=0,
        eos_index=0,
        min_decode_ratio=0.0,
        max_decode_ratio=1.0,
        beam_size=3,
        eos_threshold=10.0,
        using_max_attn_shift=True,
        max_attn_shift=240,
        temperature=1.25,
        scorer=ScorerBuilder(full_scorers=scorers, weights={"rnnlm": 0.15, "coverage": 1.5}),
    )
    hparams["modules"]["attention_decoder"].eval()
    parts = {name: hparams["modules"][name] for name in ("ctc_output", "attention_decoder")}
    encoded = model[0](features)
    with torch.no_grad():
        expected, found = (
            theirs(encoded, torch.ones(2))[0],
            hparams["decoding"].build(tokens, PIECES, **parts)(encoded, torch.ones(2)),
        )
    assert found == expected
    assert (
        tokens.decode(tokens.encode(TEXT[1])) == TEXT[1]
        and 0 not in tokens.encode(TEXT[1]).tolist()
    )


def test_statistics_stay_as_they_are(tmp_path):
    write_folder(tmp_path / "asr")
    hparams = stage()
    recognizer_from(tmp_path / "asr")(hparams)
    before = hparams["normalize"].glob_mean.clone()
    hparams["normalize"](torch.randn(2, 9, 40), torch.ones(2))
    assert torch.equal(hparams["normalize"].glob_mean, before) and before.abs().sum() > 0


def test_the_folder_says_specials_and_frames(tmp_path):
    write_folder(tmp_path / "asr", "bos_index: 1\neos_index: 2\nblank_index: 0\nhop_length: 20\n")
    hparams = stage()
    tokens = recognizer_from(tmp_path / "asr")(hparams)
    assert (tokens.blank, tokens.begin, tokens.end) == (0, 1, 2)
    assert hparams["compute_features"](torch.randn(1, 16000)).shape[1] == 51
    (tmp_path / "asr/lm.ckpt").unlink()
    recognizer_from(tmp_path / "asr")(hparams)
    assert hparams["decoding"].lm is None


def test_a_run_of_stage_3_is_found_with_its_tokens(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(manifest()))
    theirs = build_tokens("characters", tmp_path / "asr/tokens", tmp_path / "train.json", PIECES)
    given, found = stage()["modules"], stage(targets="characters", output_folder=tmp_path / "new")
    hand_over(given, tmp_path / "asr")
    recognizer = recognizer_from(tmp_path / "asr")
    assert recognizer(found) is None  # the tokens are built from the run's folder
    tokens = build_tokens("characters", tmp_path / "new/tokens", None, PIECES)
    for name, module in given.items():
        loaded = found["modules"][name].state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in module.state_dict().items())
    assert tokens.decode(theirs.encode(TEXT[0])) == TEXT[0]
    with pytest.raises(RecipeError, match="(?s)pieces.model does not exist.*--targets"):
        recognizer(stage(targets="pieces", output_folder=tmp_path / "other"))
    (tmp_path / "asr/ctc_output.ckpt").unlink()
    with pytest.raises(RecipeError, match="ctc_output.ckpt does not exist"):
        recognizer(found)


def manifest():
    """Training utterances with the texts."""
    sounds = {"noisy_wav": "n.wav", "clean_wav": "c.wav", "length": 1.0, "phones": "AH"}
    return {f"u{n}": {**sounds, "words": words} for n, words in enumerate(TEXT)}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"output_neurons": 30}, f"Give --output_neurons={PIECES}"),
        (
            {"modules": {"ctc_output": Linear(input_size=5, n_neurons=PIECES)}},
            "another network than this one",
        ),
    ],
)
def test_a_folder_of_another_shape_is_told(tmp_path, changes, words):
    write_folder(tmp_path / "asr")
    with pytest.raises(RecipeError, match=words):
        recognizer_from(tmp_path / "asr")(stage(**changes))


def test_an_encoder_alone_keeps_what_fits(tmp_path):
    given, found = stage(), stage()
    given["modules"]["encoder"] = AcousticEncoder(**{**ENCODER, "input_size": 257}, time_pooling=4)
    hand_over(given["modules"], tmp_path)
    assert recognizer_from(str(tmp_path / "encoder.ckpt"))(found) is None
    states = [hparams["modules"]["encoder"].state_dict() for hparams in (given, found)]
    same = {key: torch.equal(states[0][key], value) for key, value in states[1].items()
            if states[0][key].shape == value.shape}  # fmt: skip
    assert all(same.values()) and 0 < len(same) < len(states[1])
    weights = [hparams["modules"]["ctc_output"].w.weight for hparams in (given, found)]
    assert not torch.equal(*weights)


@pytest.mark.parametrize("path", ["gone", "gone.ckpt", "empty"])
def test_what_is_no_recognizer_is_told(tmp_path, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match="(?s)is neither the folder.*asr.ckpt"):
        recognizer_from(tmp_path / path)
    assert recognizer_from(None) is None


def test_a_missing_file_is_named(tmp_path):
    write_folder(tmp_path / "asr")
    (tmp_path / "asr/tokenizer.ckpt").unlink()
    with pytest.raises(RecipeError, match="tokenizer.ckpt"):
        recognizer_from(tmp_path / "asr")(stage())


def test_a_language_model_of_another_kind_is_told(tmp_path):
    write_folder(tmp_path / "asr")
    torch.save({"emb.weight": torch.ones(2)}, tmp_path / "asr/lm.ckpt")
    with pytest.raises(RecipeError, match="lm.ckpt is not an RNNLM"):
        recognizer_from(tmp_path / "asr")(stage())


def test_one_token_for_blank_and_end_excludes_a_ctc_scorer(tmp_path):
    write_folder(tmp_path / "asr")
    hparams = stage(decoding=Decoding("attention_beam", {"size": 2, "ctc_weight": 0.4}))
    tokens = recognizer_from(tmp_path / "asr")(hparams)
    parts = {name: hparams["modules"][name] for name in ("ctc_output", "attention_decoder")}
    with pytest.raises(RecipeError, match="beam: ctc_weight"):
        hparams["decoding"].build(tokens, PIECES, **parts)
