"""The knobs of the YAML files: what each accepts. Their values and comments stand in ``hparams/``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from errors import RecipeError
from models.losses import DISTANCES
from models.mimic import FORMS
from models.perceptual import KINDS as PERCEPTUAL_KINDS
from scoring.metrics import LISTABLE as METRICS
from training.augmentation import NAMES as AUGMENTATIONS
from training.data import ACTIONS, ORDERS
from training.decoding import BEAM
from training.decoding import KINDS as DECODINGS
from training.tokens import KINDS as TARGETS


@dataclass(frozen=True)
class Knob:
    """What a knob accepts: a test of its value, the same in words, and whether null is one."""

    accepts: Callable[[Any], bool]
    words: str
    null: bool = False


def number(low: float, high: float = math.inf, above: bool = False, null: bool = False) -> Knob:
    """A finite number from ``low`` (or above it) to ``high``."""

    def accepts(value):
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        return (
            is_number
            and math.isfinite(value)
            and low <= value <= high
            and value > low - (not above)
        )

    words = f"numbers {'above' if above else 'from'} {low}" + (f" to {high}" * (high < math.inf))
    return Knob(accepts, words, null)


def whole(least: int, null: bool = False) -> Knob:
    """A whole number from ``least`` on."""
    return Knob(lambda value: is_whole(value, least), f"whole numbers from {least} on", null)


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is a whole number from ``least`` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def choice(*names: str, null: bool = False) -> Knob:
    """One of several names."""
    return Knob(lambda value: value in names, ", ".join(names), null)


def some(*names: str, null: bool = False) -> Knob:
    """A list of some of these names."""
    return Knob(
        lambda value: isinstance(value, list) and set(value) <= set(names),
        f"a list of {', '.join(names)}",
        null,
    )


def texts(null: bool = False) -> Knob:
    """A list of names."""
    return Knob(
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
        "a list of names, such as [a, b]",
        null,
    )


def sizes(null: bool = False) -> Knob:
    """A list of whole numbers."""
    return Knob(
        lambda value: isinstance(value, list) and value and all(is_whole(n, 1) for n in value),
        "a list of whole numbers above 0, such as [8, 16]",
        null,
    )


def path(null: bool = True) -> Knob:
    """A path, taken as it was typed; ``~`` is the home folder."""
    return Knob(lambda value: isinstance(value, str) and value, "a path", null)


SWITCH = Knob(lambda value: isinstance(value, bool), "True, False")
SHARE, WEIGHT = number(0, 1), number(0, null=True)
KNOBS = {
    "seed": whole(0),
    "preset": choice("mini", "published_2021", "published_2022", null=True),
    "output_folder": path(null=False),
    "data_folder": path(),
    "train_annotation": path(null=False),
    "valid_annotation": path(null=False),
    "test_annotation": path(null=False),
    "skip_prep": SWITCH,
    "valid_speakers": texts(),
    "extra_lexicon": path(),
    "max_seconds": number(0, above=True),
    "on_bad_utterance": choice(*ACTIONS),
    "number_of_epochs": whole(0),
    "batch_size": whole(1),
    "batch_seconds": number(0, above=True, null=True),
    "piece_seconds": number(0, above=True, null=True),
    "valid_batch_size": whole(1),
    "sorting": choice(*ORDERS),
    "num_workers": whole(0),
    "lr": number(0, above=True),
    "lr_schedule": choice("constant", "step", "linear", "newbob"),
    "lr_factor": number(0, 1, above=True),
    "muon_models": texts(),
    "precision": choice("auto", "fp32", "bf16", "fp16"),
    "input_signal": choice("enhanced", "noisy", "clean", "clean_noisy_phase"),
    "clean_epochs": whole(0),
    "noisy_share": SHARE,
    "remix": number(0, null=True),
    "targets": choice(*TARGETS),
    "output_neurons": whole(4),
    "ctc_weight": WEIGHT,
    "ctc_epochs": whole(0, null=True),
    "seq_weight": WEIGHT,
    "decoding_by": choice(*DECODINGS),
    "beam": Knob(
        lambda value: isinstance(value, dict) and set(value) <= set(BEAM),
        f"numbers for some of {', '.join(BEAM)}, as {{size: 8}}",
    ),
    "augment": some(*AUGMENTATIONS, null=True),
    "augment_noise": path(null=False),
    "enhance_weight": WEIGHT,
    "enhance_loss": choice(*DISTANCES),
    "mimic_weight": WEIGHT,
    "mimic_loss": choice(*DISTANCES),
    "mimic_form": choice(*FORMS),
    "mimic_ratio": number(0, above=True, null=True),
    "mimic_taps": texts(),
    "pesq_weight": WEIGHT,
    "perceptual": choice(*PERCEPTUAL_KINDS),
    "frozen_models": texts(null=True),
    "unfrozen_models": texts(null=True),
    "unfreeze_epoch": whole(1),
    "valid_metrics": some(*METRICS),
    "test_metrics": some(*METRICS),
    "select_by": Knob(lambda value: isinstance(value, str), "a metric of the validation", True),
    "checkpoint_avg": whole(1),
    "enhanced_folder": path(),
    "export": SWITCH,
    "tensorboard": SWITCH,
    "figures": SWITCH,
    "enhancer": choice("wide_resnet", "cnn_transformer", "crdnn"),
    "enhance_channels": sizes(null=True),
    "enhance_dense": whole(1, null=True),
    "enhance_dropout": SHARE,
    "mask_domain": choice("features", "spectrum"),
    "mask_weight": SHARE,
    "mel_bands": whole(8, null=True),
    "cnn_channels": sizes(),
    "time_pooling": whole(1),
    "rnn_layers": whole(1),
    "rnn_neurons": whole(1),
    "dnn_neurons": whole(1),
    "dropout": SHARE,
    "decoder_neurons": whole(1),
    "attention_channels": whole(1),
    "attention_kernel": whole(1),
    "pretrained_enhance_path": path(),
    "pretrain_perceptual_path": path(),
    "pretrained_asr_path": path(),
}
RENAMED = {  # of earlier versions, and of SpeechBrain's recipe -> the knob of today
    "enhance_type": "input_signal",
    "target_type": "targets",
    "eval_max_key": "select_by",
    "eval_min_key": "select_by",
    "epochs_before_lr_drop": "lr_schedule",
    "lm_weight": "beam={lm_weight: 0.15}",
    "judge": "perceptual",
    "observation_share": "mask_weight",
    "pretrained_ctc_path": "pretrained_asr_path",
    "pretrained_decoder_path": "pretrained_asr_path",
    "beam_size": "beam={size: 8}",
    "augment_speeds": "augment=[speed]",
    "augment_drop_freq": "augment=[drop_freq]",
    "augment_drop_chunk": "augment=[drop_chunk]",
    "manifest_folder": "train_annotation",
}
IGNORED = {  # typed by habit, without an effect on results -> why
    "metric_jobs": "the free cores score",
    "memory_mb": "enhanced speech is cached on disk",
    "keep_freed_memory": "the C library decides",
    "pad_multiple": "it is a constant",
}


def checked(key: str, value: Any) -> Any:
    """A value as its knob wants it (one name in a list's place becomes a list), or RecipeError."""
    knob = KNOBS.get(key)
    if knob is None:
        raise RecipeError(
            f"--{key} is built by the YAML file and is no value to override. Override the keys "
            "that it refers to, or edit the file."
        )
    if value is None and knob.null:
        return None
    if isinstance(value, (str, int)) and knob.words.startswith("a list") and knob.accepts([value]):
        return [value]
    if not knob.accepts(value):
        null = ", null" if knob.null else ""
        raise RecipeError(f"--{key}: {value!r} is not accepted; accepted: {knob.words}{null}.")
    return value


def is_path(key: str) -> bool:
    """Whether a knob's value is a path, which is no YAML."""
    return key in KNOBS and KNOBS[key].words == "a path"


def typed_path(text: str) -> str | None:
    """A path as the command line brings it; ``null`` is none, ``~`` the home folder."""
    if text in ("null", "None", "~"):
        return None
    return str(Path(text).expanduser())
