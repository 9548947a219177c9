"""SpeechBrain's checkpoints, made visible only when they are whole, and their average."""

import logging
import os
import pathlib
import shutil
import zipfile

import torch
import yaml
from speechbrain.utils.checkpoints import METAFNAME, Checkpoint, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, if_main_process, main_process_only

from training.disk_space import explain_full_disk, size_of

logger = logging.getLogger(__name__)

HIDDEN = "SAVING+"  # being written, or being deleted
DAMAGED = "DAMAGED+"
LOAD_ERRORS = (RuntimeError, EOFError, KeyError, ValueError)  # of parameters that fit no module


class WholeCheckpointer(Checkpointer):
    """A Checkpointer whose newest checkpoint can always be loaded.

    SpeechBrain writes the file that makes a folder a checkpoint before the parameters, so that a run killed while it
    saves leaves a torn one as the newest. Here the folder is written under a name that is never listed, flushed to disk
    and renamed.
    """

    def _new_checkpoint_dirpath(self):
        visible = super()._new_checkpoint_dirpath()
        return visible.with_name(HIDDEN + visible.name)

    def _custom_checkpoint_dirpath(self, name):
        visible = super()._custom_checkpoint_dirpath(name)
        return visible.with_name(HIDDEN + visible.name)

    def save_checkpoint(self, *args, **kwargs):
        """As in SpeechBrain; the checkpoint appears when complete."""
        self.sweep()
        with explain_full_disk(
            self.checkpoints_dir, lambda: size_of(self.recoverables.values()), clean_up=self.sweep
        ):
            saved = super().save_checkpoint(*args, **kwargs)
        ddp_barrier()
        shown = None if saved is None else self.show(saved)
        ddp_barrier()  # all ranks list the same checkpoints, of which they delete some together
        return shown

    def show(self, saved):
        """Give a complete checkpoint its name."""
        visible = saved.path.with_name(saved.path.name[len(HIDDEN) :])
        with explain_full_disk(
            self.checkpoints_dir, lambda: size_of(self.recoverables.values()), clean_up=self.sweep
        ):
            flush(saved.path)
            os.rename(saved.path, visible)
            flush_folder(visible.parent)
        return Checkpoint(
            visible, saved.meta, {n: visible / p.name for n, p in saved.paramfiles.items()}
        )

    def sweep(self):
        """Remove what a killed save or deletion left behind."""
        if if_main_process():
            for torn in pathlib.Path(self.checkpoints_dir).glob(HIDDEN + "*"):
                shutil.rmtree(torn)

    @staticmethod
    @main_process_only
    def _delete_checkpoint(checkpoint, verbosity=logging.INFO):
        """Out of sight first: a run killed here leaves no checkpoint with half its files."""
        hidden = checkpoint.path.with_name(HIDDEN + checkpoint.path.name)
        os.rename(checkpoint.path, hidden)
        shutil.rmtree(hidden)
        logger.log(verbosity, "Deleted checkpoint in %s", checkpoint.path)

    def set_damaged_aside(self):
        """Rename checkpoints that cannot be read (a failing disk, an incomplete copy), so that the one before counts."""
        for folder in self._list_checkpoint_dirs():
            reason = damage(folder)
            if reason:
                aside = folder.with_name(DAMAGED + folder.name)
                os.rename(folder, aside)
                logger.warning(
                    "%s is damaged (%s): passed over, and renamed to %s", folder, reason, aside.name
                )


def damage(folder):
    """Why a checkpoint's files cannot be whole, or None; torch's files are archives with a checksum for each part."""
    for file in sorted(pathlib.Path(folder).iterdir()):
        try:
            if file.stat().st_size == 0:
                return f"{file.name} is empty"
            with open(file, "rb") as stream:
                is_archive = stream.read(2) == b"PK"
            if is_archive and zipfile.ZipFile(file).testzip():
                return f"{file.name} has a wrong checksum"
            if file.name == METAFNAME:
                Checkpointer._construct_checkpoint_objects([pathlib.Path(folder)])[0].meta[
                    "unixtime"
                ]
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            zipfile.BadZipFile,
            yaml.YAMLError,
        ) as error:
            return f"{file.name}: {error}"
    return None


def flush(folder):
    """Wait until all files of a folder are on disk."""
    for file in pathlib.Path(folder).iterdir():
        with open(file, "rb") as stream:
            os.fsync(stream.fileno())


def flush_folder(folder):
    """Wait until a folder's entries are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def average(checkpoints, name):
    """Mean of one module's parameters over checkpoints; integer buffers are the newest one's.

    Averaging integers (BatchNorm's count of batches) would turn them into floats.
    """
    states = [
        torch.load(c.paramfiles[name], map_location="cpu", weights_only=True) for c in checkpoints
    ]
    newest = states[0]
    mean = {}
    for key, value in newest.items():
        exact = not value.is_floating_point()
        mean[key] = (
            value
            if exact
            else torch.stack([s[key].double() for s in states]).mean(dim=0).to(value.dtype)
        )
    return mean


def save_whole(state, path):
    """``torch.save`` that is never seen half written."""
    path = pathlib.Path(path)
    aside = path.with_name(path.name + ".part")
    with explain_full_disk(
        path.parent, lambda: size_of([state]), clean_up=lambda: aside.unlink(missing_ok=True)
    ):
        with open(aside, "wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, path)
