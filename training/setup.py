"""A run before its first step and after its last: settings, its folder, its exit code."""

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.run_opts import RunOptions

from corpus.files import alone_in
from corpus.manifests import prepare
from corpus.mini import synthesize_mini_corpus
from errors import RecipeError, one_of
from training import ranks, report
from training.checks import check_stage, check_typed
from training.needs import reads_text
from training.settings import build, read_settings
from training.stopping import Stopped, Stopper
from training.tokens import Tokens, build_tokens

logger = logging.getLogger(__name__)

MINI_CORPUS = "mini_corpus"  # made on first use, where no data folder is given
# Keys that a stage may leave out
OPTIONAL = dict(remix=None, noisy_share=0.0, clean_epochs=0, augmentation=None)
OPTIONAL |= dict(perceptual_reads=None, decoding=None, enhanced_folder=None)
HELP = """python train.py hparams/<stage>.yaml [--key=value ...]

Stages: pretrain_perceptual, enhance_mimic, robust_asr. The keys of a stage stand in its YAML file,
each with a comment. --preset=mini|published_2021|published_2022 sets many of them at once.
SpeechBrain's run options are accepted too: --device, --precision, --test_only, --debug, ...
"""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def opened(arguments: list[str]) -> Iterator[tuple[dict[str, Any], RunOptions, dict[str, Any]]]:
    """Command line -> hparams, run options, and what SpeechBrain's experiment folder records.

    Settings are checked before anything is written; the run has its folder to itself.
    """
    settings = read_settings(arguments)
    if settings.preset == "mini" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # small networks: waiting threads cost more than they bring
    run_opts = ranks.start(settings.run_opts)
    hparams = {**OPTIONAL, **build(settings.file, settings.overrides)}
    check_typed(hparams, settings.typed)
    check_stage(hparams)
    with alone_in(hparams["output_folder"]) if if_main_process() else nullcontext():
        record = {
            "experiment_directory": hparams["output_folder"],
            "hyperparams_to_save": settings.file,
            "overrides": settings.overrides,
            "save_env_desc": hparams["number_of_epochs"] > 0,  # takes a second or two
        }
        told = [f"{k}={v}" for k, v in settings.overrides.items() if k not in settings.typed]
        hparams["preset"] = f"{settings.preset} ({', '.join(told)})"
        hparams["checkpointer"] = hparams["checkpointer"]()
        report.quieten()
        yield hparams, run_opts, record
    ranks.finish()


def prepare_data(hparams: dict[str, Any]) -> None:
    """Manifests of the data folder; where none is given, of the mini corpus, made on first use."""
    if hparams["skip_prep"]:
        return
    if hparams["data_folder"] is None:
        hparams["data_folder"] = MINI_CORPUS
        run_on_main(synthesize_mini_corpus, args=[MINI_CORPUS])
    folder = Path(hparams["train_annotation"]).parent
    keys = ("valid_speakers", "extra_lexicon", "max_seconds", "on_bad_utterance")
    options = {key: hparams[key] for key in keys} | {"needs_text": reads_text(hparams)}
    run_on_main(prepare, args=[hparams["data_folder"], folder], kwargs=options)


def load_parameters(hparams: dict[str, Any]) -> Tokens | None:
    """Put the parameters of earlier stages into the modules; returns the recognizer's tokens."""
    recognizer = hparams.get("recognizer")
    tokens = recognizer(hparams) if recognizer else None
    if tokens is None and reads_text(hparams):
        folder = Path(hparams["output_folder"]) / "tokens"
        outputs = hparams["output_neurons"]
        of_stage = [hparams["targets"], folder, hparams["train_annotation"], outputs]
        run_on_main(build_tokens, args=of_stage)
        tokens = build_tokens(*of_stage)
    for name, source in hparams["loads"].items():
        source.load(name, hparams["modules"][name])
    return tokens


def compile_in_place(brain: sb.Brain) -> None:
    """SpeechBrain's ``--compile``, but parameters keep their names."""
    for name in brain.compile_module_keys or (brain.modules if brain.compile else ()):
        one_of("--compile_module_keys", name, brain.modules)
        dynamic = brain.compile_using_dynamic_shape_tracing
        brain.modules[name].compile(mode=brain.compile_mode, dynamic=dynamic)


def exit_code(run: Callable[[list[str], Stopper], None], arguments: list[str]) -> int:
    """0; 2 after an error that the user can mend; 143 or 130 after SIGTERM or Ctrl-C."""
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return 0
    stopper = Stopper()
    try:
        with stopper.installed():
            run(arguments, stopper)
        return 0
    except OSError as problem:
        if problem.errno not in NO_ROOM:
            raise
        told, code = f"{problem}. Make room; the same command goes on.", 2
    except RecipeError as problem:
        told, code = problem, 2
    except Stopped as stop:
        told, code = f"stopped by {stop}. The same command goes on from there.", stop.exit_code
    print(f"train.py: {told}", file=sys.stderr)
    return code
