"""Get a corpus (download, mix, mini, resample) and describe it in manifests, as training does."""

import argparse
import json
import shlex
import sys

from corpus.files import typed_path
from corpus.layout import MAX_SECONDS, TRAIN, VALID_SPEAKERS
from corpus.manifests import names, prepare
from corpus.mixing import MixSettings, mix_corpus
from corpus.recordings import LAYOUTS
from corpus.voicebank import BASE_URL, download, resample_corpus
from errors import RecipeError, listed

MIX = MixSettings()
DATA = ("data_folder", {"required": True, "type": typed_path, "metavar": "DIR"})
SEVERAL = {"nargs": "+", "metavar": "NAME"}
SET = {"type": int, "choices": tuple(TRAIN)}


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns 0, 1 if some files could not be used, 2 after a user's mistake."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names that are not UTF-8
    options = _parser().parse_args(arguments)
    try:
        problems = options.run(options)
    except (RecipeError, OSError) as problem:  # OSError: disk full, no permission
        print(f"data_prep.py: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("data_prep.py: interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    if problems:
        print(f"{len(problems)} file(s) are left out:\n{listed(problems)}", file=sys.stderr)
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run, help_text):
        """A command with the option that all have."""
        added = commands.add_parser(run.__name__.strip("_"), help=help_text, description=help_text)
        added.set_defaults(run=run)
        added.add_argument(
            "--data_folder", required=True, type=typed_path, metavar="DIR", help="the corpus"
        )
        return added.add_argument

    add = command(
        _download, "download VoiceBank-DEMAND and bring it to 16 kHz (10 GB; may be repeated)"
    )
    add("--base_url", default=BASE_URL, help="a mirror of the archives (default: %(default)s)")
    add("--speakers", **SET, default=28, help="training set (default: %(default)s)")

    command(_resample, "make the _16k folders of a VoiceBank-DEMAND that was unpacked by hand")

    add = command(_mini, "synthesize the mini corpus, as training does without a data_folder")
    add("--seed", type=int, default=1234, help="another seed, another corpus")

    add = command(_mix, "mix clean speech and noises of your own to a corpus in VoiceBank's layout")
    add("--speech", required=True, type=typed_path, metavar="DIR", help=LAYOUTS)
    add("--noise", required=True, type=typed_path, metavar="DIR", help="a sub-folder for each kind")
    for name, text in MIX_NAMES.items():
        add(
            f"--{name}",
            **SEVERAL,
            default=getattr(MIX, name),
            help=f"{text} (default: %(default)s)",
        )
    for name in ("snrs_train", "snrs_test"):
        text = "signal-to-noise ratios to draw from (default: %(default)s)"
        add(f"--{name}", nargs="+", type=float, default=getattr(MIX, name), metavar="DB", help=text)
    add("--seed", type=int, default=MIX.seed, help="of all draws (default: %(default)s)")

    add = command(_manifests, "check a corpus and write its manifests, as training does by itself")
    add("--save_folder", required=True, type=typed_path, metavar="DIR", help="of the manifests")
    add("--valid_speakers", **SEVERAL, default=VALID_SPEAKERS, help="withheld, as p226,p287")
    add("--extra_lexicon", type=typed_path, metavar="FILE", help="lines WORD P H O N E S")
    add("--max_seconds", type=float, default=MAX_SECONDS, help="longest file (%(default)s)")
    add("--on_bad_utterance", choices=("error", "skip"), default="error", help="if a file is bad")
    add("--speakers", **SET, help="training set, where both are there")
    return parser


MIX_NAMES = {
    "valid_speakers": "speakers for validation, by name, or a fraction of those left by the test",
    "test_speakers": "speakers for the test, by name, or a fraction",
    "test_noises": "noise kinds for the test alone, by name, or a fraction",
    "only": "take only speech whose path or speaker fits one of these patterns",
    "without": "leave out speech whose path or speaker fits one of these patterns",
}


def _download(options):
    folder = options.data_folder
    if not download(folder, options.base_url, options.speakers):
        print("The log files could not be fetched: manifests will lack noise and SNR.")
    _, problems = resample_corpus(folder)
    print(f"VoiceBank-DEMAND is in {folder}. Train with: {_option('data_folder', folder)}")
    return problems


def _resample(options):
    count, problems = resample_corpus(options.data_folder)
    print(f"Resampled: {count} files in {options.data_folder}")
    return problems


def _mini(options):
    from corpus import mini  # needs espeak-ng, which nothing else here does

    folder = mini.synthesize_mini_corpus(options.data_folder, seed=options.seed)
    print(f"The mini corpus is in {folder}")


def _mix(options):
    listed_names = {name: tuple(names(getattr(options, name))) for name in MIX_NAMES}
    settings = MixSettings(
        **listed_names,
        snrs_train=tuple(options.snrs_train),
        snrs_test=tuple(options.snrs_test),
        seed=options.seed,
    )
    split = mix_corpus(options.speech, options.noise, options.data_folder, settings)
    for name in ("test_speakers", "test_noises"):
        print(f"{name}: {', '.join(split[name])}")
    line = [_option("data_folder", options.data_folder.absolute())]
    line.append(_option("valid_speakers", ",".join(split["valid_speakers"])))
    print(f"Train with: {' '.join(line)}")
    return split["problems"]


def _manifests(options):
    arguments = {key: value for key, value in vars(options).items() if key != "run"}
    for name, path in prepare(**arguments).items():
        print(f"{name}: {len(json.loads(path.read_text(encoding='utf-8')))} utterances in {path}")


def _option(name, value):
    """An option of a command as it is typed into a shell."""
    return shlex.quote(f"--{name}={value}")


if __name__ == "__main__":
    sys.exit(main())
