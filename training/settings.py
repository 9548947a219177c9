"""From the command line to objects: YAML file, preset, overrides."""

import difflib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ruamel.yaml
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.error import YAMLError
from speechbrain.utils.run_opts import RunOptions

from corpus.files import parse_yaml, read_text, typed_path
from corpus.manifests import names
from errors import RecipeError
from training.knobs import IGNORED, KNOBS, PATHS, RENAMED, checked

logger = logging.getLogger(__name__)

PRESETS = Path(__file__).parents[1] / "hparams" / "presets"
# What networks raise for sizes that do not go together. HyperPyYAML wraps some of it.
BUILD_ERRORS = (ValueError, TypeError, KeyError, IndexError, RuntimeError, ZeroDivisionError)


@dataclass
class Settings:
    """What the command line says."""

    file: str
    run_opts: RunOptions
    preset: str
    overrides: dict[str, Any]  # of the stage file: those of the preset, then those typed
    typed: dict[str, Any]


def read_settings(arguments: list[str]) -> Settings:
    """Command line -> Settings.

    Without ``--preset`` a data folder, or ready manifests, means the published sizes, and none
    means the mini corpus.
    """
    stage_file = arguments[0] if arguments else "nothing"
    if not Path(stage_file).is_file():
        known = ", ".join(str(path) for path in sorted(Path("hparams").glob("*.yaml")))
        raise RecipeError(f"The first argument is a YAML file, not {stage_file}. Here: {known}.")
    auto = "--precision=auto"  # the one value that SpeechBrain's option does not know
    by_machine = {"precision": "auto"} if auto in arguments else {}
    _, ours = RunOptions._create_parser().parse_known_args([a for a in arguments if a != auto])
    theirs = [argument for argument in arguments if argument not in (auto, *ours)]
    _, run_opts, _ = RunOptions.from_command_line_args(theirs)
    check_device(run_opts.device)
    document = document_of(stage_file)
    typed = typed_overrides(ours, document)
    data_folder = {**document, **typed}.get("data_folder")
    has_data = data_folder is not None or "train_annotation" in typed
    preset = typed.pop("preset", None) or ("published_2021" if has_data else "mini")
    overrides = {**preset_overrides(preset, stage_file), **typed, **by_machine}
    for key, value in {**document, **overrides}.items():
        built = getattr(getattr(value, "tag", None), "value", None)  # by the YAML file
        if key in KNOBS and not built and (made := checked(key, value)) != value:
            overrides[key] = made  # a list of the one value
    if {**document, **overrides}.get("precision") == "auto":
        overrides["precision"] = fastest_precision(run_opts.device)
    return Settings(stage_file, run_opts, preset, overrides, typed)


def typed_overrides(arguments: list[str], known: dict[str, Any]) -> dict[str, Any]:
    """``--key=value`` or ``--key value`` -> key: value; paths as they are, all else as YAML."""
    found: dict[str, Any] = {}
    waiting = list(arguments)
    while waiting:
        key, has_value, text = waiting.pop(0).removeprefix("--").partition("=")
        if not has_value and waiting and not waiting[0].startswith("--"):
            text = waiting.pop(0)
        elif not has_value:
            raise RecipeError(f"--{key} has no value. Accepted: --key=value ...")
        if key in IGNORED and key not in known:
            logger.warning("--%s is not needed any more and is ignored: %s", key, IGNORED[key])
            continue
        if key not in {"preset", *known}:
            refuse_unknown(key, known)
        if key in found:
            raise RecipeError(f"--{key} is given twice. Give each key once.")
        if key in PATHS:  # as it was typed
            value = None if text in ("", "null", "None") else str(typed_path(text))
        elif key == "valid_speakers":  # may be numbers, such as 007
            value = names(text)
        else:
            value = parse_yaml(text, f"--{key}={text[:200]}")
        found[key] = checked(key, value)
    return found


def refuse_unknown(key: str, known: dict[str, Any]) -> None:
    """RecipeError for a key that the stage does not have, with the one that may be meant."""
    if key in RENAMED:
        raise RecipeError(f"--{key} is not a key of this recipe. Give --{RENAMED[key]}.")
    near = [f"--{name}" for name in difflib.get_close_matches(key, known, n=3)]
    hint = f"Did you mean {' or '.join(near)}?" if near else "Its comments tell what is."
    raise RecipeError(f"--{key} is not a key of this YAML file. {hint}")


def preset_overrides(preset: str, stage_file: str) -> dict[str, Any]:
    """The overrides of a preset for a stage file: its ``common`` section, then the stage's.

    The stage is part of the file's name, as in ``my_enhance_mimic.yaml``.
    """
    sections = ruamel.yaml.YAML().load(read_text(PRESETS / f"{preset}.yaml"))
    common = sections.pop("common", {})
    found = [name for name in sections if name in Path(stage_file).stem]
    if len(found) != 1:
        told = f"{stage_file}: its name must hold one stage ({', '.join(sections)}), by which the"
        raise RecipeError(f"{told} preset finds its values. Name it, say, my_enhance_mimic.yaml.")
    return {**common, **sections[found[0]]}


def document_of(stage_file: str) -> dict[str, Any]:
    """The YAML of a stage file with its tags, nothing built."""
    try:
        document = ruamel.yaml.YAML().load(read_text(stage_file))
    except YAMLError as error:
        raise RecipeError(f"{stage_file}: this is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{stage_file} holds no keys. Give one of the YAML files in hparams/.")
    return document


def build(stage_file: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """The YAML's objects under the overrides."""
    try:
        with open(stage_file, encoding="utf-8") as stream:
            return load_hyperpyyaml(stream, overrides)
    except BUILD_ERRORS as error:
        cause = error.__cause__ or error
        if isinstance(cause, RecipeError):
            raise cause from None
        raise RecipeError(f"{stage_file}: {error}") from error


def check_device(device: str | None) -> None:
    """RecipeError for a device that this machine does not have."""
    try:
        torch.empty(0, device=device or "cpu")
    except (RuntimeError, AssertionError) as error:
        count = torch.cuda.device_count()
        there = "cpu" + "".join(f", cuda:{number}" for number in range(count))
        raise RecipeError(f"--device={device} is not there. Accepted here: {there}.") from error


def fastest_precision(device: str | None) -> str:
    """``bf16`` where the device has instructions for it, else ``fp32``; None: the GPU, if any."""
    if torch.cuda.is_available() if device is None else device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    found = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if found.get("avx512_bf16") or found.get("amx_bf16") else "fp32"
