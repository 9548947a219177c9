"""Get a corpus and describe it in manifests: see ``python data_prep.py --help``."""

import json
from pathlib import Path

from corpus.audio import write_text
from corpus.fingerprint import fingerprint, is_current, write_stamp
from corpus.manifests import survey
from corpus.pronunciations import Lexicon, lexicon_files
from errors import RecipeError

VALID_SPEAKERS = ("p226", "p287")  # VoiceBank: a man and a woman; any two training speakers would do
MAX_SECONDS = 60  # the longest utterance of VoiceBank lasts 15 s


def prepare(
    data_folder,
    save_folder,
    valid_speakers=VALID_SPEAKERS,
    extra_lexicon=None,
    test_speakers=None,
    max_seconds=MAX_SECONDS,
):
    """Write ``train.json``, ``valid.json`` and ``test.json`` into ``save_folder`` and return their paths by name.

    ``data_folder`` holds VoiceBank's folders and is left as it is. The validation speakers are withheld from the
    training folders; ``test_speakers`` (default: all) narrows the test. Files are checked all at once, and
    one RecipeError names what is wrong. While data and settings stay the same the manifests are used again.
    """
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    valid_speakers, test_speakers = names(valid_speakers), names(test_speakers)
    if not data_folder.is_dir():
        raise RecipeError(f"data_folder: no such folder {data_folder}. Get a corpus: python data_prep.py --help")
    paths = {name: save_folder / f"{name}.json" for name in ("train", "valid", "test")}
    settings = {"valid": valid_speakers, "test": test_speakers, "max_seconds": max_seconds}
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
    result = survey(data_folder, lexicon, settings["valid"], settings["test"], settings["max_seconds"])
    template = save_folder / "unknown_words.txt"
    problems = result.message(data_folder, template)
    if result.unknown_words:
        write_text(template, "".join(f"{word}\n" for word in sorted(result.unknown_words)))
    if problems:
        raise RecipeError(problems)
    derived = (f"{word} {' '.join(phones)}\n" for word, phones in sorted(lexicon.derived.items()))
    write_text(save_folder / "derived_words.txt", "".join(derived))
    return result.manifests


def _write(manifests, paths):
    for name, path in paths.items():
        write_text(path, json.dumps(manifests[name], indent=1))
