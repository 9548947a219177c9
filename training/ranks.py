"""Several processes, one run: how they start, share batches and put their figures together.

Each process is a rank. Ranks train copies of the networks whose gradients are averaged (PyTorch's DistributedDataParallel);
batches are dealt to them like cards. A single process is the case of one rank: nothing here changes it.
"""

from dataclasses import replace

import torch
from speechbrain.core import Stage
from speechbrain.dataio.sampler import ReproducibleRandomSampler
from speechbrain.utils.distributed import ddp_init_group, get_local_rank, is_distributed_initialized
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import BatchSampler, SequentialSampler


def start(run_opts):
    """Meet the other ranks where torchrun has started several; returns the run options.

    Without GPUs the ranks meet over gloo, on the CPU, whatever the options say.
    """
    if get_local_rank() is not None and (run_opts.device == "cpu" or not torch.cuda.is_available()):
        given = run_opts.overridden_args | {"distributed_backend", "device"}
        run_opts = replace(
            run_opts, distributed_backend="gloo", device="cpu", overridden_args=given
        )
    ddp_init_group(run_opts)
    return run_opts


def finish():
    """Wait for the other ranks, and part."""
    if is_distributed_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def gather_counts(counts):
    """Dict of events, of each rank -> with ``left_out`` (utterances) summed up; what steps count is common to all ranks."""
    left_out = sum(part.get("left_out", 0) for part in gather(counts))
    return {**counts, "left_out": left_out} if left_out else counts


def own_rank():
    """The number of this process, 0 for one alone."""
    return torch.distributed.get_rank() if is_distributed_initialized() else 0


def gather(value):
    """A picklable object of each rank -> list of all of them, in the order of ranks, on every rank."""
    if not is_distributed_initialized():
        return [value]
    gathered = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, value)
    return gathered


def gather_terms(terms):
    """Dict name -> list of scalar tensors, of each rank -> one dict with the lists of all ranks joined."""
    joined = {}
    for part in gather(
        {name: [float(value) for value in values] for name, values in terms.items()}
    ):
        for name, values in part.items():
            joined.setdefault(name, []).extend(torch.tensor(value) for value in values)
    return joined


class Agreement:
    """The largest of the ranks' numbers, known to all of them at the same call: that of the call before.

    The exchange goes on beside the step, on the CPU, and nobody waits for it.
    """

    def __init__(self):
        self.group = torch.distributed.new_group(backend="gloo")
        self.number, self.work = torch.zeros(1, dtype=torch.int64), None

    def reached(self, number):
        """Give this call's number; returns the largest of the last call's, 0 at first. All ranks must call it."""
        found = 0
        if self.work is not None:
            self.work.wait()
            found = int(self.number)
        self.number.fill_(number)
        self.work = torch.distributed.all_reduce(
            self.number, torch.distributed.ReduceOp.MAX, self.group, async_op=True
        )
        return found


def share_buffers(modules):
    """Give all ranks the buffers of rank 0: on the CPU each has BatchNorm statistics of its own batches."""
    if is_distributed_initialized():
        for buffer in modules.buffers():
            torch.distributed.broadcast(buffer, 0)


def parallel(module, device, find_unused=False):
    """A network whose gradients are averaged over the ranks when its ``forward`` is called.

    BatchNorm sees the batches of all ranks; PyTorch can do that on GPUs only, on the CPU each rank sees its own.
    """
    if device.startswith("cuda"):
        module = torch.nn.SyncBatchNorm.convert_sync_batchnorm(module)
    on = [device] if device.startswith("cuda") else None
    return DistributedDataParallel(module, device_ids=on, find_unused_parameters=find_unused)


class DealtBatches:
    """Every N-th batch of a batch sampler: those of one of N ranks.

    Whole batches are dealt, so that what is padded together does not depend on the number of ranks.

    Arguments
    ---------
    batches : iterable with length
        Lists of indices; the same on every rank.
    rank, ranks : int
        Which one, of how many.
    even : bool
        Whether the first batches come again at the end until all ranks have the same number, as training needs.
    """

    def __init__(self, batches, rank, ranks, even):
        self.batches, self.rank, self.ranks, self.even = batches, rank, ranks, even

    def __iter__(self):
        dealt = list(self.batches)
        missing = -len(dealt) % self.ranks if self.even and dealt else 0
        dealt += [dealt[n % len(dealt)] for n in range(missing)]
        return iter(dealt[self.rank :: self.ranks])

    def __len__(self):
        count = len(self.batches) + (-len(self.batches) % self.ranks if self.even else 0)
        return len(range(self.rank, count, self.ranks))

    def set_epoch(self, epoch):
        """Pass the epoch on to what shuffles."""
        sampler = getattr(self.batches, "sampler", self.batches)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)


def deal(dataset, options, rank, even):
    """Loader options of one process -> those of a rank, with the same batches dealt."""
    options = dict(options)
    size, shuffle = options.pop("batch_size", 1), options.pop("shuffle", False)
    batches = options.pop("batch_sampler", None)
    if batches is None:
        sampler = ReproducibleRandomSampler(dataset) if shuffle else SequentialSampler(dataset)
        batches = BatchSampler(sampler, size, drop_last=options.pop("drop_last", False))
    ranks = torch.distributed.get_world_size()
    return {**options, "batch_sampler": DealtBatches(batches, rank, ranks, even)}


class Ranked:
    """The Brain's side of it: mixed in before ``sb.Brain``.

    The Brain must have ``is_always_frozen(name)``; ``hparams`` ``judge_name``.
    """

    def _wrap_distributed(self):
        """As SpeechBrain, but for what always is frozen, and on the CPU too."""
        for name, module in self.modules.items() if self.distributed_launch else ():
            if not self.is_always_frozen(name) and any(
                p.requires_grad for p in module.parameters()
            ):
                partly = (
                    self.find_unused_parameters or name == self.hparams.judge_name
                )  # its taps leave out the end
                self.modules[name] = parallel(module, self.device, partly)

    def _train_loader_specifics(self, dataset, options):
        """Each rank its batches."""
        if not self.distributed_launch:
            return super()._train_loader_specifics(dataset, options)
        options = deal(dataset, options, self.rank, even=True)
        self.train_sampler = options["batch_sampler"]
        return options

    def make_dataloader(self, dataset, stage, **options):
        """As SpeechBrain; each rank scores its share of the batches too."""
        if self.distributed_launch and stage != Stage.TRAIN:
            options = deal(dataset, options, self.rank, even=False)
        return super().make_dataloader(dataset, stage, **options)
