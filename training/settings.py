"""From the command line to objects: YAML file, preset, overrides."""

import difflib
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.error import YAMLError
from speechbrain.utils.run_opts import RunOptions

from errors import RecipeError
from training import precision
from training.overrides import checked

PRESETS = ("mini", "published")
# What networks raise that get sizes which do not go together. HyperPyYAML wraps some of it into the class of the cause.
BUILD_ERRORS = (ValueError, TypeError, KeyError, IndexError, RuntimeError, ZeroDivisionError)


def read_settings(arguments):
    """Command-line arguments -> (hparams file, run options, overrides as a dict, name of the preset in force).

    ``--preset`` wins; without it a data folder means ``published`` and none means ``mini``. Overrides win over both.
    """
    if not arguments or arguments[0].startswith("-") or not Path(arguments[0]).is_file():
        given = arguments[0] if arguments else "nothing"
        known = ", ".join(
            str(p) for p in sorted(Path("hparams").glob("*.yaml")) if p.stem != "mini"
        )
        raise RecipeError(
            f"The first argument is a YAML file, not {given}. Here are: {known}.\n"
            "Usage: python train.py hparams/<stage>.yaml [--key=value ...]"
        )
    arguments, by_machine = precision.take_option(arguments)
    hparams_file, run_opts, text = RunOptions.from_command_line_args(arguments)
    overrides = parse_yaml(text, "command line") or {}
    if not isinstance(overrides, dict):
        raise RecipeError(
            f"command line: {str(overrides)[:80]!r} is no override. Accepted: --key=value ..."
        )
    document = document_of(hparams_file)
    refuse_unknown(overrides, list(document))
    overrides = checked(overrides, document)
    preset = overrides.pop("preset", None) or (
        "published" if overrides.get("data_folder") else "mini"
    )
    if preset not in PRESETS:
        raise RecipeError(f"preset: {preset!r} is not one of {', '.join(PRESETS)}.")
    settings = {
        **preset_overrides(preset, hparams_file),
        **overrides,
        **by_machine,
        "preset": preset,
    }
    if settings.get("precision", document.get("precision")) == precision.AUTO:
        settings["precision"] = precision.fastest(run_opts.device)
    return hparams_file, run_opts, settings, preset


def preset_overrides(preset, hparams_file):
    """The overrides of ``mini.yaml`` for an hparams file: its ``common`` section, then the one of the file's name."""
    if preset == "published":
        return {}
    # Read with its tags: a preset belongs to the recipe, and may refer to other keys.
    sections = ruamel.yaml.YAML().load(
        (Path(hparams_file).parent / f"{preset}.yaml").read_text(encoding="utf-8")
    )
    return {**sections["common"], **sections.get(Path(hparams_file).stem, {})}


def parse_yaml(text, where):
    """Plain YAML (no Python objects) -> dict; RecipeError names the place."""
    try:
        return ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except (
        YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: 2020-13-45 is read as a date
        problem = getattr(error, "problem", None) or error
        raise RecipeError(
            f"{where}: this is not YAML of plain values: {problem}, in\n{text[:400]}\nEach key once, as --key=value; "
            "tags (!new:, !ref, ...) belong into YAML files."
        ) from error


def document_of(hparams_file):
    """The YAML of an hparams file with its tags, nothing built."""
    try:
        document = ruamel.yaml.YAML().load(Path(hparams_file).read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{hparams_file}: this is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{hparams_file}: holds no keys. Give one of the YAML files in hparams/.")
    return document


def keys_of(hparams_file):
    """Top-level keys of an hparams file."""
    return list(document_of(hparams_file))


def refuse_unknown(overrides, known):
    """RecipeError for a key that the YAML does not have, with the nearest one that it has."""
    for key in overrides:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3)
            hint = f" Did you mean {' or '.join('--' + k for k in near)}?" if near else ""
            raise RecipeError(
                f"--{key} is not a key of this YAML file.{hint} Every key stands in it with a comment."
            )


def build(hparams_file, overrides):
    """The YAML's objects under the overrides."""
    try:
        with open(hparams_file, encoding="utf-8") as stream:
            return load_hyperpyyaml(stream, overrides)
    except BUILD_ERRORS as error:
        cause = error.__cause__ or error
        if isinstance(cause, RecipeError):
            raise cause from None
        raise RecipeError(f"{hparams_file}: {error}") from error
