"""Get a corpus (download, resample, noises, mix, mini), and describe it as training does."""

import argparse
import json
import shlex
import sys

from corpus.crowds import mix_crowds
from corpus.files import typed_path
from corpus.layout import TRAIN
from corpus.manifests import MAX_SECONDS, VALID_SPEAKERS, names, prepare
from corpus.mini import synthesize_mini_corpus, synthesize_noises
from corpus.mixing import MixSettings, mix_corpus
from corpus.recordings import LAYOUTS
from corpus.voicebank import BASE_URL, download, resample_corpus
from errors import RecipeError
from inference.command import carry_out

FOLDER = {"required": True, "type": typed_path, "metavar": "DIR"}
SET = {"type": int, "choices": tuple(TRAIN)}
MIX_OPTIONS = {
    "valid_speakers": (str, "for validation, by name, or a fraction of those left by the test"),
    "test_speakers": (str, "for the test, by name, or a fraction"),
    "test_noises": (str, "noise kinds for the test alone, by name, or a fraction"),
    "without": (str, "leave out files whose path fits one of these patterns, and speakers"),
    "snrs_train": (float, "signal-to-noise ratios to draw from, in dB"),
    "snrs_test": (float, "signal-to-noise ratios to draw from, in dB"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns 0, 1 if some files could not be used, 2 after a user's mistake."""
    return carry_out(_parser(), lambda options: options.run(options), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("data_prep.py", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run):
        """A command with the option that all have; returns what adds others."""
        name, text = run.__name__.strip("_"), run.__doc__
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        added.add_argument("--data_folder", **FOLDER, help="the corpus")
        return added.add_argument

    add = command(_download)
    add("--base_url", default=BASE_URL, help="a mirror of the archives (default: %(default)s)")
    add("--speakers", **SET, default=28, help="training set (default: %(default)s)")

    command(_resample)
    command(_mini)("--seed", type=int, default=1234, help="another seed, another corpus")

    add = command(_noises)
    add("--speech", type=typed_path, metavar="DIR", help=f"adds crowds of its voices. {LAYOUTS}")
    add("--without", nargs="+", default=(), metavar="NAME", help=MIX_OPTIONS["without"][1])
    add("--seed", type=int, default=1234, help="other seeds, other noises")

    add = command(_mix)
    add("--speech", **FOLDER, help=LAYOUTS)
    add("--noise", **FOLDER, nargs="+", help="folders with a sub-folder for each kind")
    for name, (kind, text) in MIX_OPTIONS.items():
        several = {"nargs": "+", "type": kind, "metavar": "NAME" if kind is str else "DB"}
        several["default"] = default = getattr(MixSettings, name)
        text += f" (default: {' '.join(map(str, default)) or 'none'})"
        add(f"--{name}", **several, help=text)
    add("--seed", type=int, default=MixSettings.seed, help="of all draws (default: %(default)s)")
    add("--colour", action="store_true", help="change each noise's balance of frequencies")

    add = command(_manifests)
    add("--save_folder", **FOLDER, help="of the manifests")
    withheld = {"nargs": "+", "metavar": "NAME", "default": VALID_SPEAKERS}
    add("--valid_speakers", **withheld, help="withheld, as p226,p287")
    add("--extra_lexicon", type=typed_path, metavar="FILE", help="lines WORD P H O N E S")
    add("--max_seconds", type=float, default=MAX_SECONDS, help="longest file (%(default)s)")
    add("--on_bad_utterance", choices=("error", "skip"), default="error", help="if a file is bad")
    add("--speakers", **SET, help="training set, where both are there")
    return parser


def _download(options):
    """Download VoiceBank-DEMAND and bring it to 16 kHz (10 GB; may be repeated)."""
    folder = options.data_folder
    if not options.base_url.startswith(("http://", "https://")):
        raise RecipeError(f"--base_url {options.base_url}: accepted are http:// and https://")
    if not download(folder, options.base_url, options.speakers):
        print("The log files could not be fetched: manifests will lack noise and SNR.")
    _, problems = resample_corpus(folder)
    print(f"VoiceBank-DEMAND is in {folder}. Train with: {_option('data_folder', folder)}")
    return problems


def _resample(options):
    """Make the _16k folders of a VoiceBank-DEMAND that was unpacked by hand."""
    count, problems = resample_corpus(options.data_folder)
    print(f"Resampled: {count} files in {options.data_folder}")
    return problems


def _mini(options):
    """Synthesize the mini corpus, as training does without a data_folder."""
    print(f"The mini corpus is in {synthesize_mini_corpus(options.data_folder, options.seed)}")


def _noises(options):
    """Synthesize noises of twelve kinds, and crowds of recorded voices, to mix with speech."""
    folder, seed = options.data_folder, options.seed
    print(f"Noises are in {synthesize_noises(folder, seed)}")
    return mix_crowds(folder, options.speech, options.without, seed) if options.speech else []


def _mix(options):
    """Mix clean speech and noises of your own to a corpus in VoiceBank's layout."""
    given = {"seed": options.seed, "colour": options.colour}
    for name, (kind, _) in MIX_OPTIONS.items():
        value = getattr(options, name)
        given[name] = tuple(names(value) if kind is str else value)
    settings = MixSettings(**given)
    split = mix_corpus(options.speech, options.noise, options.data_folder, settings)
    for name in ("test_speakers", "test_noises"):
        print(f"{name}: {', '.join(split[name])}")
    folder = _option("data_folder", options.data_folder.absolute())
    print("Train with:", folder, _option("valid_speakers", ",".join(split["valid_speakers"])))
    return split["problems"]


def _manifests(options):
    """Check a corpus and write its manifests, as training does by itself."""
    arguments = {k: v for k, v in vars(options).items() if k != "run"}
    for name, path in prepare(**arguments).items():
        print(f"{name}: {len(json.loads(path.read_text(encoding='utf-8')))} utterances in {path}")


def _option(name, value):
    """An option of a command as it is typed into a shell."""
    return shlex.quote(f"--{name}={value}")


if __name__ == "__main__":
    sys.exit(main())
