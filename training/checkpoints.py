"""SpeechBrain's checkpoints, made visible only when they are whole, and their average."""

import os
import pathlib

import torch
from speechbrain.utils.checkpoints import Checkpoint, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, if_main_process

HIDDEN = "SAVING+"


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
        saved = super().save_checkpoint(*args, **kwargs)
        ddp_barrier()
        if saved is None:
            return None
        visible = saved.path.with_name(saved.path.name[len(HIDDEN) :])
        flush(saved.path)
        os.rename(saved.path, visible)
        flush_folder(visible.parent)
        return Checkpoint(visible, saved.meta, {n: visible / p.name for n, p in saved.paramfiles.items()})

    def sweep(self):
        """Remove what a killed save left behind."""
        if if_main_process():
            for torn in pathlib.Path(self.checkpoints_dir).glob(HIDDEN + "*"):
                for file in torn.iterdir():
                    file.unlink()
                torn.rmdir()


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
    states = [torch.load(c.paramfiles[name], map_location="cpu", weights_only=True) for c in checkpoints]
    newest = states[0]
    mean = {}
    for key, value in newest.items():
        exact = not value.is_floating_point()
        mean[key] = value if exact else torch.stack([s[key].double() for s in states]).mean(dim=0).to(value.dtype)
    return mean


def save_whole(state, path):
    """``torch.save`` that is never seen half written."""
    path = pathlib.Path(path)
    aside = path.with_name(path.name + ".part")
    with open(aside, "wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(aside, path)
