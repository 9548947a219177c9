"""SpeechBrain's checkpoints, made visible only when they are whole, and their average."""

import json
import logging
import os
import pathlib
import pickle
import shutil
import zipfile

import torch
import yaml
from speechbrain.core import INTRA_EPOCH_CKPT_FLAG
from speechbrain.utils.checkpoints import METAFNAME, Checkpoint, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, main_process_only, run_on_main

from corpus.files import read_text, write_text
from errors import RecipeError
from scoring.metrics import higher_is_better

logger = logging.getLogger(__name__)

HIDDEN = "SAVING+"  # being written, or being deleted


class WholeCheckpointer(Checkpointer):
    """A Checkpointer whose newest checkpoint can always be loaded.

    SpeechBrain writes the file that makes a folder a checkpoint before the parameters, so that a
    run killed while it saves leaves a torn one as the newest. Here the folder is written under a
    name that is never listed, flushed to disk and renamed.
    """

    def _new_checkpoint_dirpath(self):
        visible = super()._new_checkpoint_dirpath()
        return visible.with_name(HIDDEN + visible.name)

    def save_checkpoint(self, *args, **kwargs) -> None:
        """As in SpeechBrain; the checkpoint appears when complete."""
        self.sweep()
        try:
            saved = super().save_checkpoint(*args, **kwargs)
            ddp_barrier()
            if saved is not None:
                show(saved.path)
        except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError
            self.sweep()
            free = shutil.disk_usage(self.checkpoints_dir).free / 1e6
            raise RecipeError(
                f"{self.checkpoints_dir}: no checkpoint can be written ({str(error)[:200]}). Free: "
                f"{free:.0f} MB. Make room, and the same command goes on from the last one."
            ) from error
        ddp_barrier()  # all ranks list the same checkpoints, of which they delete some together

    @main_process_only
    def sweep(self) -> None:
        """Remove what a killed save or deletion left."""
        for torn in pathlib.Path(self.checkpoints_dir).glob(HIDDEN + "*"):
            shutil.rmtree(torn)

    @staticmethod
    @main_process_only
    def _delete_checkpoint(checkpoint, verbosity=logging.INFO):
        """Out of sight first: a run killed here leaves no checkpoint with half its files."""
        hidden = checkpoint.path.with_name(HIDDEN + checkpoint.path.name)
        os.rename(checkpoint.path, hidden)
        shutil.rmtree(hidden)

    def set_damaged_aside(self) -> None:
        """Rename checkpoints that cannot be read (a failing disk, an incomplete copy)."""
        for folder in self._list_checkpoint_dirs():
            if reason := damage(folder):
                aside = folder.with_name(f"DAMAGED+{folder.name}")
                os.rename(folder, aside)
                logger.warning("%s is damaged (%s), and renamed to %s", folder, reason, aside.name)

    def check_data(self, manifest: str | pathlib.Path) -> None:
        """RecipeError where the checkpoints have not learned from all that the manifest holds.

        A corpus may move, and lose utterances that go bad."""
        facts = {
            name: [entry.get(key) for key in ("length", "words", "phones", "noise", "snr")]
            for name, entry in json.loads(read_text(manifest)).items()
        }
        record = pathlib.Path(self.checkpoints_dir) / "training_data.json"
        if not (record.is_file() and self.find_checkpoint()):
            write_text(record, json.dumps(facts))
        elif not facts.items() <= json.loads(read_text(record)).items():
            raise RecipeError(
                f"{self.checkpoints_dir} holds a run on other data than {manifest}. Give another "
                "--output_folder or --seed (or --test_only, to score that run on these data)."
            )

    def resume(self, manifest: str | pathlib.Path) -> None:
        """Load the newest whole checkpoint; RecipeError where its run or data were others."""
        run_on_main(self.set_damaged_aside)
        run_on_main(self.check_data, args=[manifest])
        try:
            self.recover_if_possible()
        except pickle.UnpicklingError as error:
            raise RecipeError(
                f"{self.checkpoints_dir}: the newest checkpoint holds more than tensors and plain "
                f"values, and could run anything. Remove it. {str(error)[-200:]}"
            ) from error
        except (RuntimeError, EOFError, KeyError, ValueError, TypeError) as error:
            raise RecipeError(
                f"{self.checkpoints_dir} holds a run with other modules, sizes or optimizer, which "
                f"cannot be resumed:\n{str(error)[:400]}\nGive another --output_folder, or the "
                "settings of that run (its hyperparams.yaml)."
            ) from error

    def save_epoch(self, epoch: int, stats: dict[str, float], select_by: str | None, keep: int):
        """A checkpoint at an epoch's end; the last and the best ones are kept."""
        self.save_and_keep_only(
            meta={"epoch": epoch, **{key: v for key, v in stats.items() if v == v}},
            num_to_keep=keep,
            importance_keys=[lambda checkpoint: checkpoint.meta["unixtime"]],
            keep_recent=False,
            ckpt_predicate=is_whole_epoch,
            **{f"{direction}s": [key] for direction, key in order(select_by).items()},
        )
        self.delete_checkpoints(num_to_keep=0, ckpt_predicate=lambda c: not is_whole_epoch(c))

    def load_mean(self, modules: torch.nn.ModuleDict, select_by: str | None, n: int) -> list[int]:
        """Put the mean of the n best checkpoints (by a metric; else the last) into the modules that
        they hold. Returns their epochs."""
        chosen = self.find_checkpoints(
            max_num_checkpoints=n, ckpt_predicate=is_whole_epoch, **order(select_by)
        )
        for name, module in modules.items():
            holding = [checkpoint for checkpoint in chosen if name in checkpoint.paramfiles]
            if holding and list(module.parameters()):
                module.load_state_dict(average(holding, name))
        return [checkpoint.meta["epoch"] for checkpoint in chosen]


def order(select_by: str | None) -> dict[str, str]:
    """A metric as SpeechBrain's Checkpointer wants it."""
    if select_by is None:
        return {}
    return {"max_key" if higher_is_better(select_by) else "min_key": select_by}


def is_whole_epoch(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint stands at the end of an epoch."""
    return INTRA_EPOCH_CKPT_FLAG not in checkpoint.meta


def show(hidden: pathlib.Path) -> None:
    """Give a complete checkpoint its name."""
    for file in (*hidden.iterdir(), hidden):
        flush(file)
    os.rename(hidden, hidden.with_name(hidden.name.removeprefix(HIDDEN)))
    flush(hidden.parent)


def flush(path: pathlib.Path) -> None:
    """Wait until a file, or a folder's list of entries, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def damage(folder: pathlib.Path) -> str | None:
    """Why a checkpoint's files cannot be whole; torch's files are archives with checksums."""
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        try:
            if not data:
                return f"{file.name} is empty"
            if data[:2] == b"PK" and zipfile.ZipFile(file).testzip():
                return f"{file.name} has a wrong checksum"
            if file.name == METAFNAME:
                yaml.safe_load(data)["unixtime"]
        except (zipfile.BadZipFile, yaml.YAMLError, KeyError, TypeError) as error:
            return f"{file.name}: {error}"
    return None


def average(checkpoints: list[Checkpoint], name: str) -> dict[str, torch.Tensor]:
    """Mean of one module's parameters over checkpoints; integer buffers are the newest one's.

    Averaging integers (BatchNorm's count of batches) would turn them into floats.
    """
    files = [checkpoint.paramfiles[name] for checkpoint in checkpoints]
    mean, *others = (torch.load(f, map_location="cpu", weights_only=True) for f in files)
    for key, value in mean.items():
        if value.is_floating_point():
            stacked = torch.stack([value, *(state[key] for state in others)])
            mean[key] = stacked.double().mean(dim=0).to(value.dtype)
    return mean
