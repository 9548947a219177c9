"""A training loop that survives: signals, resumption to the last digit, steps that are not finite, sound that cannot be read."""

import pickle

import torch
from speechbrain.core import INTRA_EPOCH_CKPT_FLAG
from speechbrain.utils.distributed import run_on_main

from errors import RecipeError
from training.bad_sound import BadUtterances
from training.checkpoints import LOAD_ERRORS
from training.compiling import compile_networks
from training.ranks import Agreement
from training.run_state import RunState
from training.step_guard import StepGuard
from training.stopping import Stopped, Stopper


def is_whole_epoch(checkpoint):
    """Whether a checkpoint stands at the end of an epoch."""
    return INTRA_EPOCH_CKPT_FLAG not in checkpoint.meta


class Sturdy:
    """What runs of days need on top of SpeechBrain's training loop: mixed into the Brain, before ``sb.Brain``.

    ``hparams`` must have ``seed``, ``output_folder`` and ``on_bad_utterance``.
    """

    def __init__(self, *args, stopper=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.stopper = stopper or Stopper()
        self.state, self.guard = RunState(), StepGuard(self.nonfinite_patience)
        self.agreement, self.stop_by = (
            None,
            None,
        )  # among several ranks; the signal to stop by, on which they agree
        self.bad = BadUtterances(self.hparams.on_bad_utterance)
        if self.checkpointer is not None:  # without one: inference, and tests of parts
            self.checkpointer.add_recoverable("run_state", self.state, optional_load=True)

    # Going on where an earlier run was

    def on_fit_start(self):
        """Resume, or say that this folder's run was another one."""
        run_on_main(self.checkpointer.set_damaged_aside)
        try:
            super().on_fit_start()
        except pickle.UnpicklingError as error:
            raise RecipeError(
                f"{self.hparams.output_folder}/save: the newest checkpoint holds more than tensors and plain values, which "
                f"is never loaded, for it could run anything: {str(error)[-200:]}\nRemove it if it is not your own."
            ) from error
        except LOAD_ERRORS as error:
            raise RecipeError(
                f"{self.hparams.output_folder} holds a run with other modules, sizes or optimizer, which cannot be resumed:\n"
                f"{str(error)[:400]}\nGive another --output_folder, or the settings of that run (its hyperparams.yaml)."
            ) from error

    def _compile(self):
        """As SpeechBrain, but in place."""
        if not self.compile:
            return super()._compile()
        names, dynamic = (
            self.compile_module_keys or list(self.modules),
            self.compile_using_dynamic_shape_tracing,
        )
        compile_networks(
            self.modules, names, self.compile_mode, self.compile_using_fullgraph, dynamic
        )

    # Stopping in good order

    def _fit_train(self, *args, **kwargs):
        """Signals wait for the end of a step; see ``_should_save_intra_epoch_ckpt``."""
        with self.stopper.held():
            super()._fit_train(*args, **kwargs)

    def _should_save_intra_epoch_ckpt(self, *args):
        """Called after each step: also when the run was asked to stop, any rank of it."""
        if self.distributed_launch:
            self.agreement = self.agreement or Agreement()
            self.stop_by = self.agreement.reached(self.stopper.requested or 0) or None
        else:
            self.stop_by = self.stopper.requested
        return self.stop_by is not None or super()._should_save_intra_epoch_ckpt(*args)

    def _save_intra_epoch_ckpt(self):
        super()._save_intra_epoch_ckpt()
        if self.stop_by is not None:
            raise Stopped(self.stop_by)

    def _fit_valid(self, valid_set, epoch, enable):
        """Nothing changes in validation, so a stop at any moment can keep what the epoch learned.

        Several ranks keep it before: they would be stopped at different places, and can do nothing together there.
        """
        self.epoch_kept = self.distributed_launch
        if self.distributed_launch:
            self.keep_training()
        try:
            self.stopper.leave_if_asked()
            super()._fit_valid(valid_set, epoch, enable)
        except Stopped:
            if not self.epoch_kept:
                self.keep_training()
            raise
        self.state.train_stats = None
        self.stopper.leave_if_asked()

    def keep_training(self):
        """A checkpoint of what the epoch has learned, while its validation is not over."""
        self.state.drop_statistics()
        super()._save_intra_epoch_ckpt()

    # Steps

    def fit_batch(self, batch):
        """One batch; one of which nothing can be read counts as bad sound and is no step."""
        self.state.counts["left_out"] += self.bad.meet(
            batch.problems, may_be_empty=len(batch) or not self.distributed_launch
        )
        if not len(batch):
            return torch.tensor(torch.nan)
        return super().fit_batch(batch)

    def on_fit_batch_start(self, batch, should_step):
        """Random numbers of a resumed epoch are put back here, behind those that the data loader drew."""
        self.state.restore_generators()
        self.guard.begin(list(batch.id), self.modules)

    def check_loss_isfinite(self, loss):
        """SpeechBrain counts such losses and steps all the same; here ``optimizers_step`` decides."""
        if (
            not self.distributed_launch
        ):  # the other ranks do not see it; gradients are common to all
            self.guard.see_loss(loss.detach())

    def optimizers_step(self):
        """Shorten the gradient and make the step, unless it is not finite."""
        self.scaler.unscale_(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        longest = self.max_grad_norm if self.max_grad_norm > 0 else torch.inf
        norm = torch.nn.utils.clip_grad_norm_(parameters, longest).detach()
        length = self.guard.read(norm)
        searching = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        allowed = self.guard.allows(length, patient=searching)
        if allowed or self.scaler.is_enabled():  # a scaler leaves the step out by itself
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer_step += 1
        self.state.terms.setdefault("gradient_norm", []).append(norm)
        self.state.counts["clipped_steps"] += int(allowed and length > longest)
        self.state.counts["skipped_steps"] += int(not allowed)

    def counted(self):
        """Events of the present stage that happened."""
        return {name: count for name, count in self.state.counts.items() if count}

    def bad_batch(self, batch):
        """In validation and test: whether nothing of a batch can be used."""
        self.state.counts["left_out"] += self.bad.meet(batch.problems)
        return not len(batch)
