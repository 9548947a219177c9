"""The knobs of the YAML files, by what they accept. Values and comments stand in ``hparams/``."""

import math
from typing import Any

from errors import RecipeError
from models.enhancer import MASK_DOMAINS
from models.enhancers import KINDS as ENHANCERS
from models.losses import DISTANCES
from models.mimic import FORMS
from models.perceptual import KINDS as PERCEPTUAL_KINDS
from scoring.metrics import LISTABLE as METRICS
from training.augmentation import NAMES as AUGMENTATIONS
from training.data import ACTIONS, ORDERS
from training.decoding import BEAM
from training.decoding import KINDS as DECODINGS
from training.schedules import KINDS as SCHEDULES
from training.tokens import KINDS as TARGETS

PRESETS = ("mini", "published_2021", "published_2022")
SIGNALS = ("enhanced", "noisy", "clean", "clean_noisy_phase")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

SWITCHES = {"skip_prep", "export", "tensorboard", "figures"}
PATHS = {"output_folder", "data_folder", "train_annotation", "valid_annotation", "test_annotation"}
PATHS |= {"extra_lexicon", "augment_noise", "enhanced_folder"}
PATHS |= {"pretrained_enhance_path", "pretrain_perceptual_path", "pretrained_asr_path"}
WHOLE = dict(seed=0, number_of_epochs=0, batch_size=1, valid_batch_size=1, num_workers=0)
WHOLE |= dict(clean_epochs=0, ctc_epochs=0, unfreeze_epoch=1, checkpoint_avg=1, output_neurons=4)
WHOLE |= dict(enhance_dense=1, mel_bands=8, time_pooling=1, rnn_layers=1, rnn_neurons=1)
WHOLE |= dict(dnn_neurons=1, decoder_neurons=1)  # each with the least accepted number
ABOVE_ZERO = {"max_seconds", "batch_seconds", "piece_seconds", "lr", "lr_factor", "mimic_ratio"}
FROM_ZERO = {"remix", "ctc_weight", "seq_weight", "enhance_weight", "mimic_weight", "pesq_weight"}
SHARES = {"noisy_share", "enhance_dropout", "dropout", "mask_weight"}  # 0 to 1
CHOICES = dict(on_bad_utterance=ACTIONS, sorting=ORDERS, lr_schedule=SCHEDULES, preset=PRESETS)
CHOICES |= dict(input_signal=SIGNALS, targets=TARGETS, decoding_by=DECODINGS, precision=PRECISIONS)
CHOICES |= dict(enhancer=ENHANCERS, mask_domain=MASK_DOMAINS, perceptual=PERCEPTUAL_KINDS)
CHOICES |= dict(enhance_loss=DISTANCES, mimic_loss=DISTANCES, mimic_form=FORMS)
LISTS = dict(valid_metrics=METRICS, test_metrics=METRICS, augment=AUGMENTATIONS)
NAMES = {"valid_speakers", "muon_models", "mimic_taps", "frozen_models", "unfrozen_models"}
SIZES = {"cnn_channels", "enhance_channels"}
NULL = {"data_folder", "extra_lexicon", "enhanced_folder", "batch_seconds", "piece_seconds"}
NULL |= {"ctc_epochs", "enhance_dense", "enhance_channels", "mel_bands", "mimic_ratio", "augment"}
NULL |= {"frozen_models", "unfrozen_models", "select_by", *FROM_ZERO}
NULL |= {name for name in PATHS if name.endswith("_path")}

RENAMED = dict(  # in earlier versions, and in SpeechBrain's recipe -> the knob of today
    enhance_type="input_signal",
    target_type="targets",
    eval_max_key="select_by",
    eval_min_key="select_by",
    epochs_before_lr_drop="lr_schedule",
    lm_weight="beam={lm_weight: 0.15}",
    judge="perceptual",
    observation_share="mask_weight",
    pretrained_ctc_path="pretrained_asr_path",
    pretrained_decoder_path="pretrained_asr_path",
    beam_size="beam={size: 8}",
    augment_speeds="augment=[speed]",
    augment_drop_freq="augment=[drop_freq]",
    augment_drop_chunk="augment=[drop_chunk]",
    manifest_folder="train_annotation",
    noise_annotation="augment_noise",
    data_folder_rirs="augment_noise",
)
IGNORED = dict(  # typed by habit, without effect on results -> why
    metric_jobs="the free cores score",
    memory_mb="enhanced speech is cached on disk",
    keep_freed_memory="the C library decides",
    pad_multiple="it is a constant",
)
OF_EARLIER = ("cnn_channels", "time_pooling", "rnn_layers", "rnn_neurons", "dnn_neurons")
OF_EARLIER += ("mel_bands", "dropout", "enhance_channels", "enhance_dense", "enhance_dropout")
IGNORED |= dict.fromkeys(OF_EARLIER, "sizes come with the checkpoint of the earlier stage")


def is_int(value: Any) -> bool:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return is_int(value) or isinstance(value, float) and math.isfinite(value)


def is_beam(value: Any) -> bool:
    """Whether a value holds settings of the beam searches."""
    return isinstance(value, dict) and all(
        key in BEAM and (is_int(v) and v > 0 if is_int(BEAM[key]) else is_number(v) and v >= 0)
        for key, v in value.items()
    )


# Name -> (check of its value, what is accepted in words)
KNOBS = dict.fromkeys(SWITCHES, (lambda v: isinstance(v, bool), "True, False"))
KNOBS |= dict.fromkeys(PATHS, (lambda v: isinstance(v, str) and bool(v), "a path"))
KNOBS |= {
    name: (lambda v, least=least: is_int(v) and v >= least, f"whole numbers from {least} on")
    for name, least in WHOLE.items()
}
KNOBS |= dict.fromkeys(ABOVE_ZERO, (lambda v: is_number(v) and v > 0, "numbers above 0"))
KNOBS |= dict.fromkeys(FROM_ZERO, (lambda v: is_number(v) and v >= 0, "numbers from 0 on"))
KNOBS |= dict.fromkeys(SHARES, (lambda v: is_number(v) and 0 <= v <= 1, "numbers from 0 to 1"))
KNOBS |= {
    name: (lambda v, names=names: isinstance(v, str) and v in names, ", ".join(names))
    for name, names in CHOICES.items()
}
KNOBS |= {
    name: (lambda v, names=names: all(x in names for x in v), f"a list of {', '.join(names)}")
    for name, names in LISTS.items()
}
NAMED = "a list of names, such as [a, b]"
KNOBS |= dict.fromkeys(NAMES, (lambda v: all(isinstance(x, str) for x in v), NAMED))
SIZED = "a list of whole numbers above 0, such as [8, 16]"
KNOBS |= dict.fromkeys(SIZES, (lambda v: v and all(is_int(x) and x > 0 for x in v), SIZED))
BEAMS = f"numbers from 0 on, whole ones above 0 for size and max_attn_shift: {', '.join(BEAM)}"
KNOBS |= {"beam": (is_beam, BEAMS)}
KNOBS |= {"select_by": (lambda v: isinstance(v, str), "a metric of the validation")}


def checked(key: str, value: Any) -> Any:
    """A value that its knob accepts (one name in place of a list becomes a list)."""
    if key not in KNOBS:
        told = f"--{key} is built by the YAML file, and no value to override."
        raise RecipeError(f"{told} Override the keys that it refers to, or edit the file.")
    if value is None and key in NULL:
        return None
    if key in {*LISTS, *NAMES, *SIZES} and not isinstance(value, list):
        value = [value]
    fits, words = KNOBS[key]
    if not fits(value):
        null = ", null" if key in NULL else ""
        raise RecipeError(f"--{key}: {value!r} is not accepted; accepted: {words}{null}.")
    return value
