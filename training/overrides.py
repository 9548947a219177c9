"""Checks of what the command line puts in the place of a YAML file's values."""

import math
from numbers import Real

from errors import RecipeError

# Whole numbers: the least accepted one. Keys that some YAML files lack are no fault.
COUNTS = {
    "seed": 0, "number_of_epochs": 0, "batch_size": 1, "valid_batch_size": 1, "num_workers": 0, "debug_utterances": 1,
    "unfreeze_epoch": 1, "checkpoint_avg": 1, "metric_jobs": 1, "ctc_epochs": 0, "clean_epochs": 0, "output_neurons": 4, "beam_size": 1,
    "sample_rate": 8000, "n_fft": 16, "n_mels": 1, "time_pooling": 1, "rnn_layers": 1, "rnn_neurons": 1,
    "dnn_neurons": 1, "enhance_dense": 1, "decoder_neurons": 1, "attention_channels": 1, "attention_kernel": 1,
    "mel_bands": 8, "judge_mel_bands": 8, "judge_time_pooling": 1, "judge_rnn_layers": 1, "judge_rnn_neurons": 1, "judge_dnn_neurons": 1,
}  # fmt: skip
ABOVE_ZERO = {
    "lr", "max_seconds", "batch_seconds", "piece_seconds", "pad_multiple", "win_length", "hop_length", "asr_hop_length",
    "max_grad_norm",
}  # fmt: skip
FROM_ZERO = {"remix", "ctc_weight", "seq_weight", "enhance_weight", "mimic_weight", "pesq_weight"}
SHARES = {
    "noisy_share",
    "observation_share",
    "dropout",
    "enhance_dropout",
    "judge_dropout",
    "label_smoothing",
}  # 0 to 1
# Keys that have a value in some YAML file and may be null all the same.
NULL_TOO = {
    "select_by", "augment_noise", "enhanced_folder",
    "ctc_weight", "seq_weight", "enhance_weight", "mimic_weight", "mimic_ratio", "pesq_weight", "pesq_ratio", "ctc_epochs",
    "augment_speeds", "batch_seconds", "piece_seconds", "remix", "frozen_models", "unfrozen_models",
}  # fmt: skip
TEXT_ENDINGS = ("_folder", "_path", "_annotation")


def checked(overrides, document):
    """The overrides, each of the type of the YAML value that it replaces; RecipeError names the first that is not.

    ``document``: the YAML file as ruamel's round-trip loader reads it, tags and all. One value in the place of a list
    becomes a list of one.
    """
    return {key: checked_value(key, value, document[key]) for key, value in overrides.items()}


def checked_value(key, value, default):
    """One override; ``default`` is the YAML's value."""
    if value is None and (default is None or key in NULL_TOO or key.endswith("_path")):
        return value
    if isinstance(default, list) and not is_tagged(default):
        return checked_list(key, value, default)
    if isinstance(default, dict) or is_tagged(default) and not is_reference(default):
        return checked_mapping(key, value, default)
    if isinstance(default, bool):
        refuse_unless(isinstance(value, bool), key, value, "True, False")
    elif key in COUNTS or key in ABOVE_ZERO | FROM_ZERO | SHARES or isinstance(default, Real):
        check_number(key, value)
    elif isinstance(default, str) or key.endswith(TEXT_ENDINGS):
        quoted = (
            ""
            if isinstance(value, (list, dict))
            else f"; text in quotes, --{key}=\"'{value}'\", if it is meant so"
        )
        refuse_unless(
            isinstance(value, str),
            key,
            value,
            f"text, such as {default if isinstance(default, str) else key}{quoted}",
        )
    else:
        refuse_unless(not isinstance(value, dict), key, value, "one value")
    return value


def check_number(key, value):
    """A finite number in the range of its key."""
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if key in COUNTS:
        refuse_unless(
            number and isinstance(value, int) and value >= COUNTS[key],
            key,
            value,
            f"whole numbers from {COUNTS[key]} on",
        )
    elif key in ABOVE_ZERO:
        refuse_unless(number and value > 0, key, value, "numbers above 0")
    elif key in FROM_ZERO:
        refuse_unless(number and value >= 0, key, value, "numbers from 0 on")
    elif key in SHARES:
        refuse_unless(number and 0 <= value <= 1, key, value, "numbers from 0 to 1")
    else:
        refuse_unless(number, key, value, "finite numbers")


def checked_list(key, value, default):
    """A list whose elements are of the default's type."""
    values = value if isinstance(value, list) else [value]
    of_numbers = bool(default) and isinstance(default[0], Real)
    for element in values:
        fits = (
            isinstance(element, int) and not isinstance(element, bool) and element > 0
            if of_numbers
            else isinstance(element, str)
        )
        wanted = "whole numbers above 0" if of_numbers else "names"
        refuse_unless(
            fits,
            key,
            value,
            f"a list of {wanted}, such as [{', '.join(map(str, default)) or 'a, b'}]",
        )
    return values


def checked_mapping(key, value, default):
    """A mapping of plain values may be overridden in part; what the YAML file builds may not."""
    if is_tagged(default) or not all(isinstance(part, (Real, str)) for part in default.values()):
        raise RecipeError(
            f"--{key} is built by the YAML file and is no value to override. Override the keys that it refers to."
        )
    fits = isinstance(value, dict) and all(
        part in default and isinstance(n, int) for part, n in value.items()
    )
    refuse_unless(
        fits, key, value, f"whole numbers for {', '.join(default)}, as {{{next(iter(default))}: 1}}"
    )
    return value


def refuse_unless(fits, key, value, accepted):
    """RecipeError with the key, its value, and what would be accepted."""
    if not fits:
        raise RecipeError(f"--{key}: {value!r} is not accepted; accepted: {accepted}.")


def is_tagged(node):
    """Whether a YAML node carries a tag such as ``!new:``, ``!apply:`` or ``!ref``."""
    return bool(getattr(getattr(node, "tag", None), "value", None))


def is_reference(node):
    """Whether a YAML node refers to others."""
    return is_tagged(node) and node.tag.value in ("!ref", "!copy")
