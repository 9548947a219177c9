"""The data of a plan: the mini corpus, real speech mixed with real noise, real pairs to be scored on."""

import os
from pathlib import Path

from corpus.audio import write_text
from corpus.mini import synthesize_mini_corpus
from corpus.own_corpus import MixSettings, mix_corpus
from data_prep import prepare
from errors import RecipeError
from results_table.plan import MIX_KEYS
from results_table.runs import ROOT
from results_table.state import resolved


def overrides_of(data, folder, seed):
    """Overrides that lead the runs of a seed to its data; none for the mini corpus.

    Arguments
    ---------
    data : dict
        The plan's section ``data``. ``rotate`` lists speakers: seed s tests the s-th and validates on the next one.
        ``score_on`` names a corpus in VoiceBank's layout whose test set takes the place of the mixed one, and validation
        speakers in it, which a corpus has to have.
    folder : Path
        The table's folder.
    """
    if not data:
        return {}
    place = {"data_folder": (Path(folder) / "data" / corpus_name(data, seed)).as_posix()}
    if "score_on" not in data:
        return {**place, "valid_speakers": list(mix_settings(data, seed).valid_speakers)}
    manifests = Path(folder) / "data" / "manifests"
    names = {
        f"{name}_annotation": (manifests / f"{name}.json").as_posix()
        for name in ("train", "valid", "test")
    }
    return {**place, "skip_prep": True, **names}


def corpus_name(data, seed):
    """Folder name of a seed's corpus: rotated speakers make a corpus each."""
    return f"rotation_{(seed - 1) % len(data['rotate']) + 1}" if "rotate" in data else "mixed"


def mix_settings(data, seed):
    """How a seed's corpus is mixed."""
    given = {key: tuple(data[key]) for key in MIX_KEYS if key in data}
    if "rotate" in data:
        speakers = data["rotate"]
        given["test_speakers"] = (speakers[(seed - 1) % len(speakers)],)
        given["valid_speakers"] = (speakers[seed % len(speakers)],)
    return MixSettings(**given)


def prepare_corpora(data, runs, shared_data=None):
    """Make the data of these runs, as far as they are not there. RecipeError where the real recordings are not at hand."""
    if not data:
        for run in {dict(run.overrides).get("mini_folder"): run for run in runs}.values():
            settings = resolved(run)
            if settings["data_folder"] is None:
                synthesize_mini_corpus(ROOT / settings["mini_folder"], **settings["mini_sizes"])
        return
    speech, noise = (shared_folder(data[key], shared_data) for key in ("speech", "noise"))
    for folder, seed in {dict(run.overrides)["data_folder"]: run.seed for run in runs}.items():
        mix_once(speech, noise, ROOT / folder, mix_settings(data, seed))
        if "score_on" in data:
            write_manifests(
                ROOT / folder, data, shared_folder(data["score_on"]["folder"], shared_data)
            )


def mix_once(speech, noise, folder, settings):
    """Mix a corpus, unless it is there whole, of the same settings."""
    stamp, mark = folder.with_name(f"{folder.name}.txt"), f"{speech} {noise} {settings}\n"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != mark:
        mix_corpus(speech, noise, folder, settings)
        write_text(stamp, mark)


def write_manifests(mixed, data, real):
    """Manifests of a mixed corpus whose test set is that of a real one, with full paths."""
    manifests = mixed.parent / "manifests"
    lexicon = real / "lexicon.txt"
    lexicon = str(lexicon) if lexicon.exists() else None
    own = prepare(mixed, manifests / "mixed", data["valid_speakers"], lexicon)
    other = prepare(real, manifests / "real", data["score_on"]["valid_speakers"], lexicon)
    for name, path, root in (
        ("train", own["train"], mixed),
        ("valid", own["valid"], mixed),
        ("test", other["test"], real),
    ):
        text = path.read_text(encoding="utf-8").replace("{data_root}", root.resolve().as_posix())
        write_text(manifests / f"{name}.json", text)


def shared_folder(name, given=None):
    """A folder of the real data: in ``given``, in RECIPE_SHARED_DATA or beside the recipe."""
    root = Path(given or os.environ.get("RECIPE_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not (root / name).is_dir():
        raise RecipeError(
            f"There is no {root / name}. This table stands on real recordings: give the folder that holds {name} as "
            "--shared_data=DIR or in RECIPE_SHARED_DATA. The table of the mini corpus needs none: --data=mini."
        )
    return root / name
