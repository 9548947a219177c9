"""Several processes, one run: how they start, share batches and put their figures together.

Each process is a rank. Ranks train copies of the networks whose gradients are averaged
(PyTorch's DistributedDataParallel). A single process is the case of one rank.
"""

import gc
import math
from collections import defaultdict
from dataclasses import replace
from itertools import cycle, islice
from statistics import fmean
from typing import Any

import torch
from speechbrain.utils.distributed import (
    ddp_init_group,
    get_local_rank,
    is_distributed_initialized,
)
from speechbrain.utils.run_opts import RunOptions
from torch.nn.parallel import DistributedDataParallel

from scoring.scores import gather


def start(run_opts: RunOptions) -> RunOptions:
    """Meet the other ranks where torchrun has started several; over gloo where there is no GPU."""
    if get_local_rank() is not None and (run_opts.device == "cpu" or not torch.cuda.is_available()):
        given = run_opts.overridden_args | {"distributed_backend", "device"}
        changed = {"distributed_backend": "gloo", "device": "cpu", "overridden_args": given}
        run_opts = replace(run_opts, **changed)
    ddp_init_group(run_opts)
    return run_opts


def finish() -> None:
    """Wait for the other ranks, and part."""
    if is_distributed_initialized():
        gc.collect()  # DDP wrappers, in cycles, hold the group: its threads must end before exit
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def own_rank() -> int:
    """The number of this process, 0 for one alone."""
    return torch.distributed.get_rank() if is_distributed_initialized() else 0


def means(terms: dict[str, list[Any]]) -> dict[str, float]:
    """Lists of scalars by name, of each rank -> means by name, over what is finite."""
    joined = defaultdict(list)
    for part in gather([{name: [float(x) for x in values] for name, values in terms.items()}]):
        for name, values in part.items():
            joined[name] += filter(math.isfinite, values)
    return {name: fmean(values) if values else math.nan for name, values in joined.items()}


def share_buffers(modules: torch.nn.Module) -> None:
    """Give all ranks the buffers of rank 0: on the CPU each has BatchNorm statistics of its own."""
    if is_distributed_initialized():
        for buffer in modules.buffers():
            torch.distributed.broadcast(buffer, 0)


def wrap(brain: Any) -> None:
    """DDP wrappers for the modules that train in some epoch, where several ranks run.

    Gradients are averaged when a wrapper's ``forward`` was called. BatchNorm sees the batches of
    all ranks on GPUs; on the CPU PyTorch cannot do that.
    """
    on_gpu = brain.device.startswith("cuda")
    for name, module in brain.modules.items() if brain.distributed_launch else ():
        if brain.never_trains(name) or not any(p.requires_grad for p in module.parameters()):
            continue
        if on_gpu:
            module = torch.nn.SyncBatchNorm.convert_sync_batchnorm(module)
        partly = brain.find_unused_parameters or name == "perceptual_model"  # its taps end early
        ids = [brain.device] if on_gpu else None
        brain.modules[name] = DistributedDataParallel(
            module, device_ids=ids, find_unused_parameters=partly
        )


def unwrap(modules: torch.nn.ModuleDict) -> None:
    """Take the DDP wrappers off again, after training."""
    for name, module in modules.items():
        modules[name] = inner(module)


def inner(module: torch.nn.Module) -> torch.nn.Module:
    """A module without its DDP wrapper."""
    return module.module if isinstance(module, DistributedDataParallel) else module


class DealtBatches:
    """Every N-th batch of a batch sampler: those of one of N ranks.

    Whole batches are dealt, so that what is padded together does not depend on the number of
    ranks. ``even``: the first batches come again at the end until all ranks have the same number,
    as training needs.
    """

    def __init__(self, batches: Any, rank: int, ranks: int, even: bool):
        self.batches, self.rank, self.ranks, self.even = batches, rank, ranks, even

    def __iter__(self):
        dealt = list(self.batches)
        if self.even:
            dealt += islice(cycle(dealt[:]), -len(dealt) % self.ranks)
        return iter(dealt[self.rank :: self.ranks])

    def __len__(self):
        count = len(self.batches) + (-len(self.batches) % self.ranks if self.even else 0)
        return len(range(self.rank, count, self.ranks))

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on to what shuffles."""
        sampler = getattr(self.batches, "sampler", self.batches)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)


def deal(batches: Any, even: bool) -> DealtBatches:
    """A batch sampler -> this rank's share of its batches."""
    count = torch.distributed.get_world_size() if is_distributed_initialized() else 1
    return DealtBatches(batches, own_rank(), count, even)
