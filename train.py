"""Train and score one stage: ``python train.py hparams/<stage>.yaml [--key=value ...]``.

The YAML file says which modules, losses and metrics a stage has; nothing here has a stage's name.
"""

import logging
import random
import sys
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.distributed import run_on_main

from errors import RecipeError
from inference.export import export_model
from models.enhancer import enhance_alone, resynthesize
from scoring.scores import Scores
from training import ranks, report, setup
from training.augmentation import remix
from training.cache import Cache
from training.checkpoints import is_whole_epoch
from training.data import BadUtterances, make_loaders
from training.figures import Figures
from training.freezing import Freezing
from training.handover import hand_over
from training.muon import grouped
from training.needs import needs_of, reached_by_losses
from training.objectives import total_loss
from training.run_state import RunState, seed_generators
from training.step_guard import StepGuard

logger = logging.getLogger(__name__)


class MimicBrain(sb.Brain):
    """One training loop for all stages: it computes what the listed losses and metrics read.

    SpeechBrain calls for each batch ``fit_batch``, in it ``on_fit_batch_start``,
    ``compute_forward``, ``compute_objectives``, ``optimizers_step``, ``on_fit_batch_end``; and
    around the epochs ``on_fit_start``, ``on_stage_start``, ``on_stage_end``.
    """

    def __init__(self, hparams, run_opts, tokens, stopper):
        super().__init__(
            hparams["modules"], hparams["opt_class"], hparams, run_opts, hparams["checkpointer"]
        )
        h = self.hparams  # keys that a stage leaves out have the values of setup.OPTIONAL
        self.tokens, self.stopper = tokens, stopper
        self.losses = {name: loss for name, loss in h.losses.items() if loss.listed}
        self.metrics = {sb.Stage.VALID: h.valid_metrics, sb.Stage.TEST: h.test_metrics}
        self.needs = {stage: needs_of(hparams, self.metrics.get(stage, ())) for stage in sb.Stage}
        self.freezing = Freezing(h.frozen_models, h.unfrozen_models, h.unfreeze_epoch)
        self.state, self.guard = RunState(), StepGuard(self.modules, self.nonfinite_patience)
        self.scores, self.bad = Scores(), BadUtterances(h.on_bad_utterance)
        self.figures = Figures(h.output_folder, h.tensorboard, h.figures)
        self.cache, self.search, self.training_now = Cache(h.output_folder), None, set()
        self.checkpointer.add_recoverable("run_state", self.state)
        for name, module in self.modules.items():  # those that never train come from ``loads``
            self.checkpointer.add_recoverable(name, module, optional_load=self.never_trains(name))

    @property
    def epoch(self):
        """The present epoch, from 1."""
        return max(1, self.hparams.epoch_counter.current)

    def never_trains(self, name):
        """Whether a module is frozen to the last epoch; what is once released stays so."""
        return self.freezing.is_frozen(name, max(1, self.hparams.number_of_epochs))

    def print_trainable_parameters(self):
        """Off: SpeechBrain counts before anything is frozen. ``report.log_plan`` tells later."""

    # A batch: noisy and clean waveform -> enhance -> perceptual model -> recognize -> step

    def fit_batch(self, batch):
        """One batch. One whose utterances all are bad is no step; with several ranks it is an
        error, as the others would wait."""
        may_be_empty = len(batch) or not self.distributed_launch
        self.state.counts["left_out"] += self.bad.meet(batch.problems, may_be_empty)
        return super().fit_batch(batch) if len(batch) else torch.tensor(torch.nan)

    def on_fit_batch_start(self, batch, should_step):
        """Freeze at each step: ``Brain.fit`` puts all modules into training mode after
        ``on_stage_start``, so that an ``eval()`` there would be undone."""
        self.freezing.apply(self.modules, self.epoch)
        place = f"{self.hparams.seed} {self.epoch} {self.step} {ranks.own_rank()}"
        seed_generators(place)  # a resumed run draws what an uninterrupted one draws
        self.guard.begin(batch.id)

    def compute_forward(self, batch, stage):
        """Predictions by name: those that the stage's losses and metrics read, and no others."""
        needs, batch = self.needs[stage], batch.to(self.device, non_blocking=True)
        p = {"noisy_wav": batch.noisy_sig.data}  # [batch, samples]
        p["clean_wav"], p["lens"] = batch.clean_sig
        if stage == sb.Stage.TRAIN and self.hparams.remix is not None:
            gain, seed = self.hparams.remix, self.draw("remix").getrandbits(32)
            p["noisy_wav"] = remix(p["noisy_wav"], p["clean_wav"], p["lens"], gain, seed)
        if needs.enhanced:
            p |= self.enhance(p["noisy_wav"], p["lens"], batch.id, stage)
        if needs.clean_features:
            p["clean_features"] = self.hparams.spectral_features(p["clean_wav"])
        if needs.perceptual:
            kind = self.hparams.perceptual_reads  # features [batch, time, freq], or wav
            p["perceptual_enhanced"] = self.perceive(p[f"enhanced_{kind}"])
            with torch.no_grad():
                p["perceptual_clean"] = self.perceive(p[f"clean_{kind}"])
        if needs.signal:
            p["signal"] = self.choose_signal(p, stage)
        if needs.encoded:
            p |= self.recognize(p["signal"], p["lens"], batch, stage)
        return p

    def enhance(self, noisy_wav, lens, ids, stage):
        """enhanced_wav [batch, samples], enhanced_features and mask [batch, time, freq].

        The waveforms of a frozen enhancer are the same in every epoch, and computed once. In
        evaluation each utterance is enhanced as it would be used: without the batch's padding.
        """
        needs, enhancer = self.needs[stage], self.network("enhance_model")
        wav_alone = not (needs.enhanced_features or needs.mask)
        same = self.never_trains("enhance_model") and self.hparams.remix is None
        if wav_alone and same:
            wav = self.cache.recall(stage.name, ids, noisy_wav, lens, lambda x: enhancer(x)[0])
            return {"enhanced_wav": wav}
        if stage == sb.Stage.TRAIN:
            made = enhancer(noisy_wav, synthesize=needs.enhanced_wav)
        else:
            made = enhance_alone(enhancer, noisy_wav, lens, synthesize=needs.enhanced_wav)
        wav, features, mask = made
        return {"enhanced_wav": wav, "enhanced_features": features, "mask": mask}

    def perceive(self, speech):
        """The perceptual model's outputs at ``mimic_taps``: tap -> [batch, time, ..., channels]."""
        return self.network("perceptual_model")(speech, taps=tuple(self.hparams.mimic_taps))

    def choose_signal(self, p, stage):
        """What is scored and recognized, [batch, samples]: ``input_signal``. In training clean
        speech for ``clean_epochs``, and noisy speech in a ``noisy_share`` of the batches."""
        h, training = self.hparams, stage == sb.Stage.TRAIN
        if training and self.epoch <= h.clean_epochs:
            return p["clean_wav"]
        if training and self.draw("noisy_share").random() < h.noisy_share:
            return p["noisy_wav"]
        if h.input_signal == "clean_noisy_phase":
            return resynthesize(p["clean_wav"], p["noisy_wav"])
        return p[f"{h.input_signal}_wav"]

    def recognize(self, wav, lens, batch, stage):
        """ctc_log_probs and seq_log_probs [batch, time, outputs], hypotheses, and the targets."""
        needs, h, repeated = self.needs[stage], self.hparams, lambda targets: targets
        if stage == sb.Stage.TRAIN and h.augmentation is not None:
            wav, lens = h.augmentation(wav, lens)  # changed copies, and the untouched ones
            repeated = h.augmentation.replicate_labels
        p = {"blank": self.tokens.blank, "input_lens": lens}  # those after augmentation
        p["tokens"], p["token_lens"] = map(repeated, batch.tokens)  # (data, relative lengths)
        p["tokens_eos"], p["token_eos_lens"] = map(repeated, batch.tokens_eos)
        features = h.normalize(h.compute_features(wav), lens)
        p["encoded"] = self.network("encoder")(features, lengths=lens)
        if needs.ctc:
            p["ctc_log_probs"] = self.network("ctc_output")(p["encoded"]).float().log_softmax(-1)
        if needs.seq:
            bos, decoder = repeated(batch.tokens_bos.data), self.network("attention_decoder")
            p["seq_log_probs"] = decoder(p["encoded"].float(), lens, bos)
        if needs.hypotheses:
            if self.search is None:
                networks = {name: ranks.inner(module) for name, module in self.modules.items()}
                self.search = h.decoding.build(self.tokens, h.output_neurons, **networks)
            found = self.search(p[h.decoding.needs], lens)
            p["hypotheses"] = [self.tokens.decode(indices) for indices in found]
        return p

    def network(self, name):
        """A module to call: its DDP wrapper if it trains in this step, else the bare module."""
        trains = torch.is_grad_enabled() and name in self.training_now
        return self.modules[name] if trains else ranks.inner(self.modules[name])

    def draw(self, use):
        """This step's random decisions for one use, common to all ranks."""
        return random.Random(f"{self.hparams.seed} {self.epoch} {self.step} {use}")

    def compute_objectives(self, predictions, batch, stage):
        """Weighted sum of the listed losses, each a function of the predictions that it reads.
        ``state`` keeps their values for the log, and the weights of balanced losses."""
        scale = self.scaler.get_scale()
        return total_loss(self.losses, predictions, self.epoch, self.state, scale)

    def check_loss_isfinite(self, loss):
        """Noted here; the guard decides before the step."""
        self.guard.see_loss(loss)

    def optimizers_step(self):
        """Clip the gradient and make the step, unless loss or gradient is not finite."""
        self.scaler.unscale_(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        allowed = self.guard.allows(norm, self.scaler)
        self.state.count_step(norm, allowed, self.max_grad_norm)  # reads it: not after the step
        if allowed:
            self.optimizer.step()
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer_step += 1

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Where a signal asks the run to stop, it leaves with a checkpoint of this step."""
        if self.stopper.asked_on_any_rank():
            self._save_intra_epoch_ckpt()
            self.stopper.leave_if_asked()

    # Epochs

    def on_fit_start(self):
        """Compile, wrap for DDP, make the optimizer; then resume from the newest checkpoint."""
        setup.compile_in_place(self)
        ranks.wrap(self)
        self.init_optimizers()
        self.checkpointer.resume(self.hparams.train_annotation)
        log, epoch = self.hparams.train_logger.save_file, self.hparams.epoch_counter.current
        run_on_main(report.forget_epochs_after, args=[log, epoch])

    def init_optimizers(self):
        """The optimizer gets the modules that train in some epoch."""
        trained = {n: m for n, m in self.modules.items() if not self.never_trains(n)}
        self.optimizer = self.opt_class(grouped(trained, self.hparams.muon_models))
        self.optimizers_dict = {"opt_class": self.optimizer}
        self.checkpointer.add_recoverable("optimizer", self.optimizer)

    def on_stage_start(self, stage, epoch=None):
        """Begin the statistics; of a training also set the learning rate."""
        self.state.begin(stage == sb.Stage.TRAIN)
        self.scores.begin(self.metrics.get(stage, ()))
        if stage == sb.Stage.TRAIN:
            reached = reached_by_losses(vars(self.hparams), epoch)
            self.training_now = {n for n in reached if not self.freezing.is_frozen(n, epoch)}
            self.lr = self.hparams.lr_annealing.of_epoch(epoch)
            update_learning_rate(self.optimizer, self.lr)
        else:
            self.state.share_balance()

    def evaluate_batch(self, batch, stage):
        """Losses and words now; quality in other processes while the next batch computes."""
        if stage == sb.Stage.VALID and not self.distributed_launch:
            self.stopper.leave_if_asked()  # ``on_stage_end`` has saved what the epoch learned
        self.state.counts["left_out"] += self.bad.meet(batch.problems)
        if not len(batch):
            return torch.tensor(torch.nan)
        with self.evaluation_ctx:
            p = self.compute_forward(batch, stage)
            loss = self.compute_objectives(p, batch, stage)
        if "hypotheses" in p:
            self.scores.add_words(batch.id, batch.words, batch.phones, p["hypotheses"])
        if "signal" in p:
            self.scores.add_quality(batch.id, p["signal"], p["clean_wav"], p["lens"])
            if stage == sb.Stage.VALID:
                self.figures.look(batch.id, p["noisy_wav"], p["clean_wav"], p["signal"], p["lens"])
            elif folder := self.hparams.enhanced_folder:
                report.save_sounds(folder, batch.id, p["signal"], p["lens"])
        return loss.detach()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Means, scores, files; a checkpoint after training, and after validation."""
        h = self.hparams
        stats = {**ranks.means(self.state.terms), **self.state.counted()}  # with the total loss
        if stage == sb.Stage.TRAIN:
            ranks.share_buffers(self.modules)
            self.state.end_training({**stats, "lr": self.lr})
            self._save_intra_epoch_ckpt()  # a run that is killed in validation need not train again
            return
        facts = (self.valid_set if stage == sb.Stage.VALID else self.test_set).dataset.data
        stats |= self.scores.collect(facts)  # by speaker, noise and SNR, where known
        run_on_main(report.write_stage, args=[self, stage, epoch, stats])
        if stage == sb.Stage.VALID:
            self.figures.report_epoch(epoch, self.lr, self.state.train_stats, stats)
            h.lr_annealing(stats["loss"])
            self.checkpointer.save_epoch(epoch, stats, h.select_by, h.checkpoint_avg)
            if self.stopper.asked_on_any_rank():
                self.stopper.leave_if_asked()

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Nothing to load: ``load_chosen`` did."""

    def load_chosen(self):
        """Put the chosen checkpoint, or their mean, into the modules: scored and handed over."""
        ranks.unwrap(self.modules)
        h, saver = self.hparams, self.checkpointer
        epochs = saver.load_mean(self.modules, h.select_by, h.checkpoint_avg)
        if self.test_only and not epochs and h.number_of_epochs:
            raise RecipeError(
                f"{h.output_folder}/save holds no checkpoint to score. Train first, without "
                "--test_only; --number_of_epochs=0 scores what the earlier stages left."
            )
        self.state.load_balance(saver.find_checkpoint(ckpt_predicate=is_whole_epoch))
        h.epoch_counter.current = max(epochs, default=self.epoch)  # decides which losses count
        logger.info("Scoring the mean of %d checkpoints: epochs %s", len(epochs), epochs)


def run(arguments, stopper):
    """One stage: settings, data, networks, training, scores, what is left for the next stage."""
    with setup.opened(arguments) as (hparams, run_opts, record):
        sb.create_experiment_directory(**record)
        setup.prepare_data(hparams)
        tokens = setup.load_parameters(hparams)  # of earlier stages
        brain = MimicBrain(hparams, run_opts, tokens, stopper)
        report.log_plan(brain)
        train, valid, test = make_loaders(hparams, tokens, brain.device)
        brain.train_sampler, brain.valid_set, brain.test_set = train.batch_sampler, valid, test
        brain.figures.choose(valid.dataset.data_ids)
        if hparams["number_of_epochs"]:
            with stopper.held():
                brain.fit(hparams["epoch_counter"], train, valid)
        brain.load_chosen()
        run_on_main(hand_over, args=[brain.modules, hparams["output_folder"]])
        brain.evaluate(test)
        brain.scores.pool.close()
        run_on_main(report.write_cost, args=[brain])
        run_on_main(brain.figures.finish)
        if hparams["export"]:
            folder = Path(hparams["output_folder"]) / "model"
            run_on_main(export_model, args=[brain.modules, vars(brain.hparams), tokens, folder])


if __name__ == "__main__":
    sys.exit(setup.exit_code(run, sys.argv[1:]))
