"""The corpora of a plan: the mini corpus in other sizes, or speech mixed with noises."""

import hashlib
from dataclasses import fields
from pathlib import Path

from corpus.files import write_text
from errors import RecipeError
from experiments.plan import Plan, check_keys


def places(plan: Plan, folder: Path, shared: Path) -> dict[str, str]:
    """Name -> folder of each corpus of a plan. Other settings make another folder."""
    texts = {name: repr((spec, shared)).encode() for name, spec in plan.data.items()}
    return {n: str(folder / f"{n}-{hashlib.sha256(t).hexdigest()[:8]}") for n, t in texts.items()}


def make(spec: dict, folder: Path, sources: dict[str, str]):
    """Make a corpus, unless it is there whole. RecipeError where the recordings are not.

    ``sources`` are folders by the names that stand in curly brackets.
    """
    done = folder.with_name(f"{folder.name}.done")
    if done.exists():
        return
    if "mix" not in spec:
        from corpus import mini  # needs espeak-ng

        if "mini" in spec:
            check_keys("data: mini", spec["mini"], ("n_train", "n_valid", "n_test"), ())
            mini.synthesize_mini_corpus(folder, **spec["mini"])
        else:
            from corpus.crowds import mix_crowds

            given = spec["noises"]
            check_keys("data: noises", given, ("speech", "without"), ("speech",))
            mini.synthesize_noises(folder)
            mix_crowds(folder, given["speech"].format(**sources), given.get("without", ()))
    else:
        from corpus.mixing import MixSettings, mix_corpus  # takes a second to import

        given, accepted = spec["mix"], [field.name for field in fields(MixSettings)]
        check_keys("data: mix", given, ("speech", "noise", *accepted), ("speech", "noise"))
        speech, *noises = [text.format(**sources) for text in (given["speech"], *given["noise"])]
        for source in (speech, *noises):
            if not Path(source).is_dir():
                raise RecipeError(f"There is no {source}. Give its folder as --shared_data.")
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        settings = {key: value for key, value in lists.items() if key in accepted}
        for problem in mix_corpus(speech, noises, folder, MixSettings(**settings))["problems"]:
            print(f"left out: {problem}")
    write_text(done, "")
