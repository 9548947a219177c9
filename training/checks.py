"""Checks of a stage's lists before anything slow begins."""

from numbers import Real

from errors import RecipeError
from models.losses import DISTANCES
from models.mimic import FORMS
from models.pesq import package
from training.bad_sound import ACTIONS
from training.data import ORDERS
from training.decoding import check_decoding
from training.tokens import KINDS

SIGNALS = ("noisy", "clean", "clean_noisy_phase", "enhanced")
SETS = ("valid", "test")
WORD_METRICS = ("wer", "cer", "per")
METRICS = ("pesq", "stoi", "estoi", "composite", "si_sdr", *WORD_METRICS)

CHOICES = {
    "on_bad_utterance": ACTIONS, "sorting": ORDERS, "targets": KINDS, "enhance_loss": tuple(DISTANCES),
    "mimic_loss": tuple(DISTANCES), "mimic_form": FORMS,
}  # fmt: skip


def check_stage(hparams):
    """RecipeError for the first thing in the settings that cannot be meant."""
    for key, accepted in CHOICES.items():
        if key in hparams:
            one_of(key, hparams[key], accepted)
    one_of("select_by", hparams["select_by"], selectable(hparams["valid_metrics"]))
    check_names(hparams, "frozen_models")
    check_names(hparams, "unfrozen_models")
    for name in hparams["muon_models"] or []:
        one_of("muon_models", name, hparams["modules"])
    one_of("input_signal", hparams["input_signal"], SIGNALS)
    for key in ("valid_metrics", "test_metrics"):
        for name in hparams[key]:
            one_of(key, name, METRICS)
    for name in hparams["score_sets"]:
        one_of("score_sets", name, SETS)
    check_bands(hparams)
    check_taps(hparams)
    check_decoding(hparams["decoding"].kind)
    check_losses(hparams)
    check_search(hparams)


def selectable(valid_metrics):
    """What may pick checkpoints: a metric of the validation, or nothing."""
    composite = ("csig", "cbak", "covl") if "composite" in valid_metrics else ()
    return (None, "loss", *valid_metrics, *composite)


def check_names(hparams, key):
    """Every name in a list of modules is a module."""
    for name in hparams[key] or []:
        one_of(key, name, hparams["modules"])
    strays = set(hparams["unfrozen_models"] or []) - set(hparams["frozen_models"] or [])
    if strays:
        raise RecipeError(
            f"unfrozen_models: {', '.join(sorted(strays))} is not frozen, so it cannot be released. "
            "Add it to frozen_models, or leave it out of both: then it trains from the first epoch."
        )


def check_bands(hparams):
    """Mel bands are means over the bins of a spectrum."""
    if hparams.get("mel_bands") and hparams.get("features", "log_spectrum") != "log_spectrum":
        raise RecipeError(
            f"mel_bands: {hparams['mel_bands']} bands of a spectrum, but features is {hparams['features']}, which has bands already "
            "(n_mels). Give --features=log_spectrum, or --mel_bands=null."
        )


def check_taps(hparams):
    """The judge has the layers that the mimic loss asks for, and each has its weight."""
    mimic = hparams["losses"].get("mimic")
    if mimic is None or not mimic.listed:
        return
    judge, taps, weights = (
        hparams["modules"][hparams["judge_name"]],
        hparams["mimic_taps"],
        hparams["mimic_tap_weights"],
    )
    for name in taps:
        one_of("mimic_taps", name, judge.tap_names() if hasattr(judge, "tap_names") else taps)
    numbers = (
        weights is None
        or isinstance(weights, list)
        and all(isinstance(weight, Real) for weight in weights)
    )
    if not taps or not numbers or weights is not None and len(weights) != len(taps):
        raise RecipeError(
            f"mimic_tap_weights: {weights!r} for the {len(taps)} mimic_taps {', '.join(taps)}. Give one layer or more, and a number "
            "for each, as [1, 4], or --mimic_tap_weights=null, where each counts 1."
        )


def check_losses(hparams):
    """At least one loss trains, and what losses stand on is listed or installed."""
    losses = {name: loss for name, loss in hparams["losses"].items() if loss.listed}
    if "pesq_loss" in losses:
        package()
    if not any(loss.weight for loss in losses.values()) and hparams["number_of_epochs"] > 0:
        reported = ", ".join(losses) or "none"
        raise RecipeError(
            f"losses: none has a weight above 0 (reported only: {reported}), so nothing would train. "
            f"Give one of {', '.join(hparams['losses'])} a weight, or --number_of_epochs=0."
        )
    for name, loss in losses.items():
        if loss.gradient_ratio is not None and loss.weight and loss.balance_against not in losses:
            raise RecipeError(
                f"{name}: its gradient is balanced against {loss.balance_against}, which is not listed. "
                f"Give {loss.balance_against} a weight (0 will do), or {name} a fixed one with --{name.removesuffix('_loss')}_ratio=null."
            )


def check_search(hparams):
    """What the search listens to is what a listed loss trains."""
    if not set(WORD_METRICS) & {*hparams["valid_metrics"], *hparams["test_metrics"]}:
        return
    trained = {name for loss in hparams["losses"].values() if loss.listed for name in loss.reads}
    weights = {"ctc_log_probs": "ctc_weight", "seq_log_probs": "seq_weight"}
    for prediction, knob in hparams["decoding"].networks.items():
        if prediction not in trained:
            weight = weights[prediction]
            raise RecipeError(
                f"{knob}: the search listens to a network that no loss trains, as {weight} is null. Give {weight} a weight "
                "(0 where parameters are loaded and shall stay), or choose another decoding_by"
                + (", or --beam_ctc_weight=0." if knob == "beam_ctc_weight" else ".")
            )


def one_of(key, value, accepted):
    """RecipeError unless a value is among the accepted ones."""
    if value not in accepted:
        raise RecipeError(f"{key}: {value!r} is not one of {', '.join(map(str, accepted))}.")
