"""Get a corpus (download, mix, mini, resample) and describe it in manifests, as training does by itself."""

import argparse
import json
import logging
import sys
from pathlib import Path

from corpus import own_corpus, speech_sources, voicebank
from corpus.audio import write_text
from corpus.fingerprint import fingerprint, is_current, write_stamp
from corpus.layout import MAX_SECONDS
from corpus.manifests import survey
from corpus.noise_sources import MADE
from corpus.pronunciations import Lexicon, lexicon_files
from errors import RecipeError

logger = logging.getLogger(__name__)

VALID_SPEAKERS = (
    "p226",
    "p287",
)  # VoiceBank: a man and a woman; any two training speakers would do


def prepare(
    data_folder,
    save_folder,
    valid_speakers=VALID_SPEAKERS,
    extra_lexicon=None,
    test_speakers=None,
    max_seconds=MAX_SECONDS,
    on_bad_utterance="error",
):
    """Write ``train.json``, ``valid.json`` and ``test.json`` into ``save_folder`` and return their paths by name.

    ``data_folder`` holds VoiceBank's folders and is left as it is. The validation speakers are withheld from the
    training folders; ``test_speakers`` (default: all) narrows the test. Files are checked all at once, and
    one RecipeError names what is wrong; with ``on_bad_utterance="skip"`` utterances whose files are at fault are left
    out, counted in a warning and listed in ``bad_utterances.txt``. While data and settings stay the same the manifests
    are used again.
    """
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    valid_speakers, test_speakers = names(valid_speakers), names(test_speakers)
    if on_bad_utterance not in ("error", "skip"):
        raise RecipeError(f"on_bad_utterance: {on_bad_utterance!r} is not one of error, skip.")
    if not data_folder.is_dir():
        raise RecipeError(
            f"data_folder: no such folder {data_folder}. Get a corpus: python data_prep.py --help"
        )
    paths = {name: save_folder / f"{name}.json" for name in ("train", "valid", "test")}
    settings = {
        "valid": valid_speakers,
        "test": test_speakers,
        "max_seconds": max_seconds,
        "bad": on_bad_utterance,
    }
    mark = fingerprint(data_folder, settings, lexicon_files(extra_lexicon))
    stamp = save_folder / "manifests.stamp.json"
    if not is_current(stamp, mark, paths.values()):
        save_folder.mkdir(parents=True, exist_ok=True)
        _write(_surveyed(data_folder, save_folder, Lexicon(extra_lexicon), settings), paths)
        write_stamp(stamp, mark, paths.values())
    return paths


def names(speakers):
    """Return speaker names as a list: from None, a list, or text such as ``[p226, p287]``."""
    if isinstance(speakers, str):
        speakers = speakers.strip("[]() ").replace(",", " ").split()
    return [str(speaker).strip(" '\"") for speaker in speakers or ()]


def _surveyed(data_folder, save_folder, lexicon, settings):
    """Return the manifests of a corpus that has no problem; leave word lists to look at in ``save_folder``."""
    result = survey(
        data_folder, lexicon, settings["valid"], settings["test"], settings["max_seconds"]
    )
    if settings["bad"] == "skip":
        result.files = _left_out(result.files, save_folder)
    template = save_folder / "unknown_words.txt"
    problems = result.message(data_folder, template)
    if result.unknown_words:
        write_text(template, "".join(f"{word}\n" for word in sorted(result.unknown_words)))
    if problems:
        raise RecipeError(problems)
    derived = (f"{word} {' '.join(phones)}\n" for word, phones in sorted(lexicon.derived.items()))
    write_text(save_folder / "derived_words.txt", "".join(derived))
    return result.manifests


def _left_out(problems, save_folder):
    """List the problems of files in ``bad_utterances.txt`` and say how many there are; none is left to stop for."""
    path = save_folder / "bad_utterances.txt"
    write_text(path, "".join(f"{problem}\n" for problem in problems))
    if problems:
        logger.warning(
            "on_bad_utterance=skip: utterances with %d problem(s) are left out, see %s",
            len(problems),
            path,
        )
    return []


def _write(manifests, paths):
    for name, path in paths.items():
        write_text(path, json.dumps(manifests[name], indent=1))


def main(arguments=None):
    """Run one command; returns the exit code: 0, or 2 after an error that the user can mend."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (RecipeError, OSError) as problem:  # OSError: disk full, no permission
        print(f"data_prep.py: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("data_prep.py: interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_download(commands)
    _add_resample(commands)
    _add_mini(commands)
    _add_mix(commands)
    _add_manifests(commands)
    return parser


def _command(commands, name, run, about, folder_help):
    """Add a command with the option that all have."""
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    parser.add_argument("--data_folder", required=True, metavar="DIR", help=folder_help)
    return parser


def _add_download(commands):
    about = "download VoiceBank-DEMAND and bring it to 16 kHz (10 GB to fetch; repeat it after an interruption)"
    parser = _command(commands, "download", _download, about, "where the corpus goes")
    parser.add_argument(
        "--base_url",
        default=voicebank.BASE_URL,
        help="a mirror of the archives (default: %(default)s)",
    )


def _add_resample(commands):
    about = "make the _16k folders of a VoiceBank-DEMAND that was unpacked by hand"
    _command(
        commands,
        "resample",
        _resample,
        about,
        "the folder that holds clean_trainset_28spk_wav and the others",
    )


def _add_mini(commands):
    about = "synthesize the embedded mini corpus, as training does without a data_folder"
    parser = _command(commands, "mini", _mini, about, "where the corpus goes")
    parser.add_argument(
        "--seed", type=int, default=1234, help="another seed, another corpus (default: %(default)s)"
    )


def _add_mix(commands):
    about = "mix clean speech and noises of your own to a corpus in VoiceBank's layout"
    parser = _command(commands, "mix", _mix, about, "where the corpus goes: a new or empty folder")
    parser.add_argument(
        "--speech", required=True, metavar="DIR", help=f"clean speech. {speech_sources.LAYOUTS}"
    )
    parser.add_argument(
        "--noise", required=True, metavar="DIR", help="noises, one sub-folder for each kind"
    )
    default = own_corpus.MixSettings()
    for name, about in MIX_NAMES.items():
        value = getattr(default, name)
        shown = f" (default: {' '.join(value)})" if value else ""
        parser.add_argument(
            f"--{name}", nargs="+", default=value, metavar="NAME", help=about + shown
        )
    for name in ("snrs_train", "snrs_test"):
        shown = " ".join(f"{snr:g}" for snr in getattr(default, name))
        about = f"signal-to-noise ratios to draw from, in dB (default: {shown})"
        parser.add_argument(
            f"--{name}",
            nargs="+",
            type=float,
            default=getattr(default, name),
            metavar="DB",
            help=about,
        )
    about = "share of the training utterances with a made noise, where there are any (default: %(default)s)"
    parser.add_argument(
        "--made_share", type=float, default=default.made_share, metavar="SHARE", help=about
    )
    parser.add_argument(
        "--seed", type=int, default=default.seed, help="of all draws (default: %(default)s)"
    )


MIX_NAMES = {
    "valid_speakers": "speakers for validation, by name, or a fraction of those left by the test",
    "test_speakers": "speakers for the test, by name, or a fraction",
    "test_noises": "noise kinds for the test alone, by name, or a fraction",
    "made_noises": f"noises of training made without recordings ({', '.join(MADE)}), beside those of --noise",
    "only": "take only speech whose path or speaker fits one of these patterns, as 'ls_*' or 'digits_fsdd/*'",
    "without": "leave out speech whose path or speaker fits one of these patterns",
}


def _add_manifests(commands):
    about = (
        "check a corpus and write train.json, valid.json and test.json, as training does by itself"
    )
    parser = _command(commands, "manifests", _manifests, about, "a corpus in VoiceBank's layout")
    parser.add_argument(
        "--save_folder", required=True, metavar="DIR", help="where the manifests go"
    )
    parser.add_argument(
        "--valid_speakers",
        nargs="+",
        default=VALID_SPEAKERS,
        metavar="NAME",
        help="withheld, as [p226,p287]",
    )
    parser.add_argument(
        "--test_speakers", nargs="+", metavar="NAME", help="narrow the test to these (default: all)"
    )
    parser.add_argument(
        "--extra_lexicon",
        metavar="FILE",
        help="pronunciations to add, one a line: WORD P H O N E S",
    )
    parser.add_argument(
        "--max_seconds", type=float, default=MAX_SECONDS, help="longest file (default: %(default)s)"
    )


def _download(options):
    missing = voicebank.download(options.data_folder, options.base_url)
    for name in missing:
        print(
            f"{name} could not be fetched; the manifests will lack noise and SNR, and training does without."
        )
    print(
        f"VoiceBank-DEMAND is in {options.data_folder}. Train with --data_folder={options.data_folder}"
    )


def _resample(options):
    print(
        f"{voicebank.resample_corpus(options.data_folder)} files resampled in {options.data_folder}"
    )


def _mini(options):
    from corpus import mini  # needs espeak-ng, which nothing else here does

    print(
        f"The mini corpus is in {mini.synthesize_mini_corpus(options.data_folder, seed=options.seed)}"
    )


def _mix(options):
    listed_names = {name: tuple(names(" ".join(getattr(options, name)))) for name in MIX_NAMES}
    snrs = {"snrs_train": tuple(options.snrs_train), "snrs_test": tuple(options.snrs_test)}
    settings = own_corpus.MixSettings(
        **listed_names, **snrs, made_share=options.made_share, seed=options.seed
    )
    split = own_corpus.mix_corpus(options.speech, options.noise, options.data_folder, settings)
    print(
        f"Test speakers: {', '.join(split['test_speakers'])}; test noises: {', '.join(split['test_noises'])}"
    )
    print(
        f"Train with: --data_folder={options.data_folder} --valid_speakers=[{','.join(split['valid_speakers'])}]"
    )


def _manifests(options):
    valid, test = (
        names(" ".join(options.valid_speakers)),
        names(" ".join(options.test_speakers or ())),
    )
    paths = prepare(
        options.data_folder, options.save_folder, valid, options.extra_lexicon, test, options.max_seconds
    )  # fmt: skip
    for name, path in paths.items():
        print(f"{name}: {len(json.loads(path.read_text(encoding='utf-8')))} utterances in {path}")


if __name__ == "__main__":
    sys.exit(main())
