"""The corpora of a plan: the mini corpus in other sizes, or real speech mixed with real noise."""

import hashlib
from pathlib import Path

from corpus.files import write_text
from errors import RecipeError
from experiments.plan import Plan


def places(plan: Plan, folder: Path, shared: Path) -> dict[str, str]:
    """Name -> folder of each corpus of a plan. Other settings make another folder."""
    marks = {
        name: hashlib.sha256(repr((spec, shared)).encode()).hexdigest()[:8]
        for name, spec in plan.data.items()
    }
    return {name: str(folder / f"{name}-{mark}") for name, mark in marks.items()}


def make(spec: dict, folder: Path, shared: Path):
    """Make a corpus, unless it is there whole. RecipeError where the recordings are not."""
    done = folder.with_name(f"{folder.name}.done")
    if done.exists():
        return
    if "mini" in spec:
        from corpus.mini import synthesize_mini_corpus  # needs espeak-ng

        synthesize_mini_corpus(folder, **spec["mini"])
    else:
        from corpus.own_corpus import MixSettings, mix_corpus

        settings = dict(spec["mix"])
        sources = [settings.pop(name).format(shared=shared) for name in ("speech", "noise")]
        for source in sources:
            if not Path(source).is_dir():
                raise RecipeError(
                    f"There is no {source}. Give the folder of the recordings as --shared_data."
                )
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        mix_corpus(*sources, folder, MixSettings(**lists))
    write_text(done, "")
