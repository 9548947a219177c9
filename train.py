"""Train and score one stage of the recipe: ``python train.py hparams/<stage>.yaml [--key=value ...]``.

The YAML file says which modules, losses and metrics a stage has; nothing here knows a stage by name.
"""

import logging
import random
import sys
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.distributed import ddp_barrier, if_main_process, run_on_main

from corpus.mini import synthesize_mini_corpus
from data_prep import prepare
from errors import RecipeError
from inference.export import export_model
from models.enhancer import resynthesize
from models.features import constants_to
from models.mimic import balanced
from reporting.reporter import Reporter
from scoring.scored import Scored, read_by_metrics
from training import freezing, ranks, report, stopping
from training.bad_sound import collate
from training.checkpoints import average
from training.checks import check_stage
from training.cost import Stopwatch, write_cost
from training.data import batches_by_duration, build_dataset, tell_resampling
from training.decoding import as_lists, strip_after_end
from training.disk_space import NO_ROOM
from training.flow import Flow, closure, makers_of, makes, modules_of
from training.handover import hand_over
from training.locking import only_run_in
from training.memory import Memory
from training.muon import grouped
from training.process import keep_kernels, keep_memory
from training.ranks import Ranked
from training.remix import remix
from training.run_state import be_deterministic, seed_generators
from training.settings import build, read_settings
from training.sturdy import Sturdy, is_whole_epoch
from training.tokens import build_tokens

logger = logging.getLogger(__name__)


class MimicBrain(Sturdy, Ranked, Scored, sb.Brain):
    """One training loop for all stages: it computes what the listed losses and metrics read."""

    def __init__(self, *args, tokens, **kwargs):
        super().__init__(*args, **kwargs)
        self.tokens = tokens
        self.stopwatch = Stopwatch()
        self.makers = makers_of(self)
        self.losses = {name: loss for name, loss in self.hparams.losses.items() if loss.listed}
        self.aliases = aliases_of(
            self.hparams.input_signal, self.hparams.decoding, self.hparams.judge_hears
        )
        self.decode, self.held, self.learning = None, set(), set()
        self.reporter = Reporter(
            self.hparams.output_folder,
            self.hparams.tensorboard,
            self.hparams.figures,
            self.hparams.sample_rate,
        )
        for part in (self.modules, *vars(self.hparams).values()):
            if isinstance(part, torch.nn.Module):
                constants_to(part, self.device)
        self.pad_multiple = max(
            1, round(self.hparams.pad_multiple * self.hparams.sample_rate)
        )  # samples
        self.memory, self.remembers = (
            Memory(self.hparams.memory_mb),
            self.only_wav_of_frozen("enhance_model"),
        )

    def print_trainable_parameters(self):
        """Nothing yet: SpeechBrain counts before anything is frozen, ``report.log_plan`` behind it."""

    # What a stage computes

    def needed(self, stage):
        """Names of the predictions that a stage's losses and metrics read."""
        names = [name for loss in self.losses.values() for name in loss.reads]
        return names if stage == sb.Stage.TRAIN else names + read_by_metrics(self.metrics(stage))

    def compute_forward(self, batch, stage):
        """Batch -> the predictions that are needed, by name."""
        flow = Flow(self.makers, batch.to(self.device, non_blocking=True), stage)
        flow["synthesize"] = "enhanced_wav" in closure(
            self.needed(stage), self.makers, self.aliases
        )
        flow.take(self.needed(stage))
        return flow

    def network(self, name):
        """A module to call: its DDP wrapper, which waits for the other ranks, only in steps that train it."""
        module = self.modules[name]
        return (
            module
            if name in self.learning and torch.is_grad_enabled()
            else getattr(module, "module", module)
        )

    @makes("noisy_wav", "lens")
    def make_noisy(self, flow):
        wav, lens = flow.batch.noisy_sig
        if flow.stage == sb.Stage.TRAIN and self.hparams.remix is not None:
            wav = remix(
                wav, flow["clean_wav"], lens, self.hparams.remix, self.drawn().getrandbits(32)
            )
        return wav, lens

    @makes("clean_wav")
    def make_clean(self, flow):
        return flow.batch.clean_sig.data

    @makes("clean_noisy_phase_wav", needs=["noisy_wav", "clean_wav"])
    def make_clean_noisy_phase(self, flow):
        return resynthesize(
            flow["clean_wav"], flow["noisy_wav"], self.hparams.stft, self.hparams.istft
        )

    @makes("clean_features", needs=["clean_wav"])
    def make_clean_features(self, flow):
        return self.hparams.spectral_features(flow["clean_wav"])

    @makes(
        "enhanced_wav",
        "enhanced_features",
        "mask",
        needs=["noisy_wav", "lens"],
        module="enhance_model",
    )
    def make_enhanced(self, flow):
        enhance = self.network("enhance_model")
        if not self.remembers:
            return enhance(flow["noisy_wav"], synthesize=flow["synthesize"])
        multiple = self.pad_multiple if flow.stage == sb.Stage.TRAIN else 1
        wav = self.memory.recall(
            flow.batch.id,
            flow["noisy_wav"],
            flow["lens"],
            lambda signal: enhance(signal)[0],
            multiple,
        )
        return wav, None, None

    @makes("judged_enhanced")
    def make_judged_enhanced(self, flow):
        return self.judge(flow[f"enhanced_{self.hparams.judge_hears}"])

    @makes("judged_clean")
    def make_judged_clean(self, flow):
        with torch.no_grad():
            return self.judge(flow[f"clean_{self.hparams.judge_hears}"])

    def judge(self, heard):
        """What the judge's tapped layers make of features or waveforms."""
        return self.network(self.hparams.judge_name)(heard, taps=tuple(self.hparams.mimic_taps))

    @makes("signal", needs=["lens", "noisy_wav"])
    def make_signal(self, flow):
        if (
            flow.stage == sb.Stage.TRAIN
            and self.hparams.epoch_counter.current <= self.hparams.clean_epochs
        ):
            return flow["clean_wav"]
        if flow.stage == sb.Stage.TRAIN and self.drawn().random() < self.hparams.noisy_share:
            return flow["noisy_wav"]
        signal, share = flow[f"{self.hparams.input_signal}_wav"], self.hparams.observation_share
        return (1 - share) * signal + share * flow["noisy_wav"] if share else signal

    def drawn(self):
        """This training step's random numbers, the same on every rank: all of them must call the same networks."""
        return random.Random(
            f"{self.hparams.seed} {self.hparams.epoch_counter.current} {self.step}"
        )

    @makes("input_wav", "input_lens", "tokens", "token_lens", needs=["signal"])
    def make_input(self, flow):
        wav, lens = flow["signal"], flow["lens"]
        tokens, token_lens = flow.batch.tokens
        if flow.stage != sb.Stage.TRAIN or self.hparams.augmentation is None:
            return wav, lens, tokens, token_lens
        augment = self.hparams.augmentation
        wav, lens = augment(wav, lens)
        return wav, lens, augment.replicate_labels(tokens), augment.replicate_labels(token_lens)

    @makes("encoded", needs=["input_wav"], module="src_embedding")
    def make_encoded(self, flow):
        features = self.hparams.compute_features(flow["input_wav"])
        return self.network("src_embedding")(self.hparams.normalize(features, flow["input_lens"]))

    @makes("ctc_log_probs", needs=["encoded"], module="ctc_output")
    def make_ctc_log_probs(self, flow):
        return self.network("ctc_output")(flow["encoded"]).float().log_softmax(dim=-1)

    @makes("tokens_eos", "token_eos_lens", needs=["tokens"])
    def make_tokens_eos(self, flow):
        return self.with_token(flow, self.tokens.end, at_end=True)

    @makes("seq_log_probs", needs=["encoded", "tokens_eos"], module="attention_decoder")
    def make_seq_log_probs(self, flow):
        tokens_bos, _ = self.with_token(flow, self.tokens.begin, at_end=False)
        return self.network("attention_decoder")(
            flow["encoded"].float(), flow["input_lens"], tokens_bos
        )

    def with_token(self, flow, token, at_end):
        """Tokens [batch, length] with one more token before the first or behind the last of each utterance."""
        tokens, lens = flow["tokens"], flow["token_lens"]
        counts = (lens * tokens.shape[1]).round().long()
        longer = torch.nn.functional.pad(tokens, (0, 1) if at_end else (1, 0), value=token)
        if at_end:
            longer.scatter_(1, counts.unsqueeze(1), token)
        return longer, (counts + 1) / longer.shape[1]

    @makes("hypotheses", needs=["encoded"])
    def make_hypotheses(self, flow):
        self.decode = self.decode or self.build_decoding()
        found = self.decode(flow[self.hparams.decoding.needs[0]].float(), flow["input_lens"])
        return [self.tokens.decode(strip_after_end(h, self.tokens.end)) for h in as_lists(found)]

    def build_decoding(self):
        """The search, on the networks inside of any DDP wrapper."""
        parts = {
            n: getattr(m, "module", m)
            for n, m in self.modules.items()
            if n in ("ctc_output", "attention_decoder")
        }
        return self.hparams.decoding.build(self.tokens, self.hparams.output_neurons, **parts)

    # What a stage learns from

    def compute_objectives(self, predictions, batch, stage):
        """Weighted sum of the losses that train; each is kept for the statistics."""
        values = {
            name: loss.function(*predictions.take(loss.reads)) for name, loss in self.losses.items()
        }
        for name, value in values.items():
            self.state.terms.setdefault(name, []).append(value.detach())
        epoch = self.hparams.epoch_counter.current
        total = sum(
            self.weighted(name, values, predictions, stage)
            for name, loss in self.losses.items()
            if loss.trains(epoch)
        ) + torch.zeros((), device=self.device)
        self.state.terms.setdefault("loss", []).append(total.detach())
        return total

    def weighted(self, name, values, predictions, stage):
        """One loss times its weight, or balanced by the length of its gradient."""
        loss, value = self.losses[name], values[name]
        if loss.gradient_ratio is None:
            return loss.weight * value
        if stage != sb.Stage.TRAIN or not predictions[loss.at].requires_grad:
            return self.state.balance.get(name, 0.0) * value.detach()
        anchor = values[loss.balance_against] * (self.losses[loss.balance_against].weight or 1.0)
        term, weight = balanced(
            value, anchor, predictions[loss.at], loss.gradient_ratio, self.scaler.get_scale()
        )
        last = torch.as_tensor(self.state.balance.get(name, 0.0), device=weight.device)
        self.state.balance[name] = torch.where(weight.isfinite(), weight.detach(), last)
        self.state.terms.setdefault(f"{name}_weight", []).append(weight.detach())
        return term

    # Freezing, learning rate, random numbers

    def on_stage_start(self, stage, epoch=None):
        """Begin the statistics; set the learning rate and what is frozen."""
        self.state.begin(self.device)
        self.begin_scores(stage)
        if stage != sb.Stage.TRAIN:
            balance = {name: [weight] for name, weight in self.state.balance.items()}
            self.state.balance = report.means(ranks.gather_terms(balance))
            return
        # A resumed run draws what an uninterrupted one draws; no rank draws what another one draws.
        seed_generators(self.hparams.seed * 1000 + epoch + 10**9 * ranks.own_rank())
        self.frozen = [name for name in self.modules if self.is_frozen(name, epoch)]
        self.learning = self.modules_of_losses(epoch) - set(self.frozen)
        self.lr = self.hparams.lr_annealing(epoch)[0]
        for optimizer in self.optimizers_dict.values():
            sb.nnet.schedulers.update_learning_rate(optimizer, self.lr)
        self.stopwatch.start()

    def modules_of_losses(self, epoch):
        """Names of the modules that the losses training in an epoch stand on."""
        reads = [name for loss in self.losses.values() if loss.trains(epoch) for name in loss.reads]
        found = closure(reads, self.makers, self.aliases)
        return modules_of(found, self.makers) | (
            {self.hparams.judge_name} if "judged_enhanced" in found else set()
        )

    def is_frozen(self, name, epoch):
        """Whether a module is frozen in an epoch."""
        h = self.hparams
        return freezing.is_frozen(
            name, h.frozen_models or [], h.unfrozen_models or [], h.unfreeze_epoch, epoch
        )

    def is_always_frozen(self, name):
        """Whether a module trains in no epoch: what is once released stays so."""
        return self.is_frozen(name, max(1, self.hparams.number_of_epochs))

    def only_wav_of_frozen(self, name):
        """Whether a module never trains and nothing but its waveform is read, so that this can be remembered."""
        still = name in self.modules and self.is_always_frozen(name)
        same = self.hparams.remix is None  # an utterance's noisy speech is that of the last epoch
        read = closure(
            [name for loss in self.losses.values() for name in loss.reads],
            self.makers,
            self.aliases,
        )
        return still and same and "enhanced_features" not in read

    def apply_freezing(self):
        """``Brain.fit`` puts all modules into training mode after ``on_stage_start``, so this is done at each step."""
        for name, module in self.modules.items():
            if name in self.frozen and (module.training or name not in self.held):
                freezing.freeze(module)
            elif name in self.held and name not in self.frozen:
                freezing.release(module)
        self.held = set(self.frozen)

    def on_fit_batch_start(self, batch, should_step):
        """Frozen modules first: nothing may move in them."""
        super().on_fit_batch_start(batch, should_step)
        self.apply_freezing()

    def on_fit_start(self):
        """Resume; what the log tells of epochs that must be done again is dropped."""
        super().on_fit_start()
        log = self.hparams.train_logger.save_file
        run_on_main(report.forget_epochs_after, args=[log, self.hparams.epoch_counter.current])

    def init_optimizers(self):
        """The optimizer sees the modules that train in some epoch."""
        trained = {
            name: module for name, module in self.modules.items() if not self.is_always_frozen(name)
        }
        self.optimizer = self.opt_class(grouped(trained, self.hparams.muon_models or []))
        self.optimizers_dict = {"opt_class": self.optimizer}
        self.checkpointer.add_recoverable("optimizer", self.optimizer)

    # Scores

    def evaluate_batch(self, batch, stage):
        """Losses now; quality in other processes while the next batch is computed."""
        if self.bad_batch(batch):
            return torch.tensor(torch.nan)
        with self.evaluation_ctx:
            predictions = self.compute_forward(batch, stage)
            loss = self.compute_objectives(predictions, batch, stage)
        self.score(predictions, stage)
        if stage == sb.Stage.VALID:
            self.reporter.look(predictions)
        return loss.detach()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log means; after validation also save."""
        stats = {
            "loss": stage_loss,
            **report.means(ranks.gather_terms(self.state.terms)),
            **ranks.gather_counts(self.counted()),
        }
        if stage == sb.Stage.TRAIN:
            self.stopwatch.stop()
            ranks.share_buffers(self.modules)
            self.state.train_stats = self.state.train_stats or {**stats, "lr": self.lr}
            return
        stats.update(self.collect_scores(stage))
        self.reporter.gather()
        with self.stopper.held():
            run_on_main(report.write_stage, args=[self, stage, epoch, stats])
            if (
                stage == sb.Stage.VALID
            ):  # saved behind the reports: a run killed between them does both again
                run_on_main(
                    self.reporter.report_epoch, args=[epoch, self.lr, self.state.train_stats, stats]
                )
                self.save_epoch(epoch, stats)
                self.epoch_kept = True

    # Checkpoints

    def save_epoch(self, epoch, stats):
        """A checkpoint; the last few are kept for averaging, and the best one for selection."""
        best = self.hparams.select_by
        kinds = (
            {"max_keys": [best]}
            if best in ("pesq", "stoi", "estoi")
            else {"min_keys": [best] if best else []}
        )
        self.checkpointer.save_and_keep_only(
            meta={"epoch": epoch, **{k: v for k, v in stats.items() if v == v}},
            num_to_keep=self.hparams.checkpoint_avg,
            importance_keys=[lambda checkpoint: checkpoint.meta["unixtime"]],
            keep_recent=False,
            ckpt_predicate=is_whole_epoch,
            **kinds,
        )

    def load_for_scoring(self):
        """Put the averaged (or selected) checkpoints into the modules, as they will be handed over."""
        ddp_barrier()  # the last checkpoint is in its place
        best, n = self.hparams.select_by, self.hparams.checkpoint_avg
        key = (
            {"max_key": best}
            if best in ("pesq", "stoi", "estoi")
            else {"min_key": best}
            if best
            else {}
        )
        found = self.checkpointer.find_checkpoints(
            max_num_checkpoints=n, ckpt_predicate=is_whole_epoch, **key
        )
        if self.test_only and not found and self.hparams.number_of_epochs:
            raise RecipeError(
                f"{self.hparams.output_folder}/save holds no checkpoint to score. Train first, without --test_only; "
                "--number_of_epochs=0 scores what the paths of earlier stages bring."
            )
        for name, module in self.modules.items():
            holding = [
                checkpoint for checkpoint in found if name in checkpoint.paramfiles
            ]  # a judge may have joined later
            if holding and any(True for _ in module.parameters()):
                getattr(module, "module", module).load_state_dict(average(holding, name))
        self.state.load_balance(self.checkpointer.find_checkpoint(ckpt_predicate=is_whole_epoch))
        # Which losses count depends on the epoch: the same with --test_only as behind training.
        self.hparams.epoch_counter.current = max(
            [c.meta["epoch"] for c in found], default=self.hparams.epoch_counter.current
        )
        logger.info(
            "Scoring the mean of %d checkpoints: epochs %s",
            len(found),
            [c.meta.get("epoch") for c in found],
        )

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Nothing to load: ``load_for_scoring`` has done it."""


def aliases_of(input_signal, decoding, judge_hears):
    """What some predictions are made from under the present settings."""
    judged = {f"judged_{side}": [f"{side}_{judge_hears}"] for side in ("enhanced", "clean")}
    return {"signal": [f"{input_signal}_wav"], "hypotheses": decoding.needs, **judged}


def modules_in_use(hparams):
    """The modules that the listed losses and metrics call, in the YAML's order; the others are neither loaded nor kept."""
    names = [name for loss in hparams["losses"].values() if loss.listed for name in loss.reads]
    names += read_by_metrics([*hparams["valid_metrics"], *hparams["test_metrics"]])
    makers = makers_of(MimicBrain)
    found = closure(
        names,
        makers,
        aliases_of(hparams["input_signal"], hparams["decoding"], hparams["judge_hears"]),
    )
    used = modules_of(found, makers) | (
        {hparams["judge_name"]} if "judged_clean" in found else set()
    )
    return {name: module for name, module in hparams["modules"].items() if name in used}


def dataio_prep(hparams, tokens):
    """Datasets of the three manifests, and the loader options of training."""
    common = [hparams["data_folder"], tokens, hparams["sample_rate"]]
    order, n, longest = hparams["sorting"], hparams["debug_utterances"], hparams["max_seconds"]
    train = build_dataset(
        hparams["train_annotation"], *common, order, n, longest, hparams.get("piece_seconds")
    )
    valid = build_dataset(hparams["valid_annotation"], *common, "ascending", n, longest)
    test = build_dataset(hparams["test_annotation"], *common, "ascending", n, longest)
    tell_resampling([train, valid, test], hparams["sample_rate"])
    options = {"batch_size": hparams["batch_size"], "shuffle": order == "random"}
    if hparams["batch_seconds"]:
        options = {
            "batch_sampler": batches_by_duration(train, hparams["batch_seconds"], hparams["seed"])
        }
    return train, valid, test, {**options, **loading(hparams["num_workers"])}


def loading(num_workers):
    """Loader options of so many processes that load data.

    They are started once, before the networks have memory: each page that a later process shares costs a fault when it is written. The numbers
    that PyTorch draws for them are not those of the training, which would differ after a resumption.
    """
    options = {"persistent_workers": True, "generator": torch.Generator()} if num_workers else {}
    return {"num_workers": num_workers, **options}


def prepare_data(hparams):
    """Synthesize the mini corpus where no data are given, and write the manifests."""
    if hparams["data_folder"] is None:
        hparams["data_folder"] = str(hparams["mini_folder"])
        if not hparams["skip_prep"]:
            run_on_main(
                synthesize_mini_corpus, args=[hparams["mini_folder"]], kwargs=hparams["mini_sizes"]
            )
    if hparams["skip_prep"]:
        return
    options = {
        key: hparams[key]
        for key in ("valid_speakers", "extra_lexicon", "max_seconds", "on_bad_utterance")
    }
    run_on_main(prepare, args=[hparams["data_folder"], hparams["manifest_folder"]], kwargs=options)


def prepare_tokens(hparams):
    """The tokens of a recognizer that is loaded whole, or those of the training manifest."""
    if hparams.get("recognizer"):
        return hparams["recognizer"].install(hparams)
    targets = [
        hparams["targets"],
        hparams["token_folder"],
        hparams["train_annotation"],
        hparams["output_neurons"],
    ]
    run_on_main(build_tokens, args=targets)
    return build_tokens(*targets)


def checked_settings(arguments):
    """Command line -> (hparams, run options, what the folder's record needs), checked before anything is written."""
    hparams_file, run_opts, overrides, preset = read_settings(arguments)
    run_opts = ranks.start(run_opts)
    hparams = build(hparams_file, overrides)
    try:
        check(hparams)
    except RecipeError:
        made = hparams[
            "checkpointer"
        ].checkpoints_dir  # SpeechBrain makes it when it builds the checkpointer
        with suppress(OSError):  # there is something in it
            made.rmdir()
            made.parent.rmdir()
        raise
    return hparams, run_opts, (hparams_file, report.as_yaml(overrides), preset)


def check(hparams):
    """RecipeError for what cannot be meant or is not there; narrows modules and loads to those in use."""
    check_stage(hparams)
    hparams["modules"] = modules_in_use(hparams)
    hparams["loads"] = {
        name: source for name, source in hparams["loads"].items() if name in hparams["modules"]
    }
    for name, source in hparams["loads"].items():
        source.check(name)
    if hparams.get("recognizer"):
        hparams["recognizer"].check()


def open_folder(hparams, run_opts, hparams_file, overrides, preset):
    """The run's folder with the record of its settings."""
    trains = bool(
        hparams["number_of_epochs"]
    )  # else env.log, which takes a second or two, would list what trained nothing
    sb.create_experiment_directory(
        hparams["output_folder"], hparams_file, overrides, save_env_desc=trains
    )
    report.quieten()
    keep_kernels()
    if hparams["keep_freed_memory"]:
        keep_memory()
    if hparams["deterministic"]:
        be_deterministic()
    logger.info("Preset in force: %s. Results go to %s", preset, hparams["output_folder"])


def build_brain(hparams, run_opts, tokens, stopper):
    """The Brain with its modules where they shall start from, known to the checkpointer."""
    for name, source in hparams["loads"].items():
        source.load(name, hparams["modules"][name])
    brain = MimicBrain(
        hparams["modules"],
        hparams["opt_class"],
        hparams,
        run_opts,
        hparams["checkpointer"],
        tokens=tokens,
        stopper=stopper,
    )
    for name, module in brain.modules.items():
        # A path brings what never trains; a checkpoint need not.
        brain.checkpointer.add_recoverable(name, module, optional_load=brain.is_always_frozen(name))
    brain.checkpointer.add_recoverable("stopwatch", brain.stopwatch, optional_load=True)
    report.log_plan(brain)
    return brain


def train_and_score(brain, hparams, tokens):
    """Fit, hand over, test."""
    train, valid, test, train_options = dataio_prep(hparams, tokens)
    pinned = str(brain.device).startswith("cuda")  # pages that a GPU copies while it computes
    train_options.update(
        collate_fn=partial(collate, multiple=brain.pad_multiple), pin_memory=pinned
    )
    brain.train_sampler = train_options.get("batch_sampler")
    brain.reporter.choose(valid.data_ids)
    scoring_options = {
        "batch_size": hparams["valid_batch_size"],
        "collate_fn": collate,
        "pin_memory": pinned,
    }
    if (
        hparams["number_of_epochs"] or brain.checkpointer.list_checkpoints()
    ):  # else no optimizer, which takes seconds to make
        brain.fit(
            hparams["epoch_counter"],
            train,
            valid,
            train_loader_kwargs=train_options,
            valid_loader_kwargs=scoring_options,
        )
    brain.load_for_scoring()
    if if_main_process():
        hand_over(brain.modules, hparams["output_folder"])
    for name in hparams["score_sets"]:
        brain.scored_set = name
        brain.evaluate(
            {"valid": valid, "test": test}[name], test_loader_kwargs=dict(scoring_options)
        )


def leave_results(brain, hparams, tokens):
    """Cost, summary and the model folder of a finished run."""
    made = closure(read_by_metrics(hparams["test_metrics"]), brain.makers, brain.aliases)
    run_on_main(write_cost, args=[brain, modules_of(made, brain.makers)])
    run_on_main(brain.reporter.finish, args=[hparams["output_folder"], hparams["test_annotation"]])
    if hparams["export"] and hparams.get("recognizer"):
        logger.info(
            "No model folder: a recognizer that began as %s is not exported",
            hparams["recognizer"].source,
        )
    elif hparams["export"] and if_main_process():
        export_model(brain.modules, hparams, tokens, Path(hparams["output_folder"]) / "model")


def run(arguments, stopper):
    """Train, hand over and score one stage, alone in its folder."""
    hparams, run_opts, record = checked_settings(arguments)
    with ExitStack() as stack:
        if if_main_process():
            stack.enter_context(only_run_in(hparams["output_folder"]))
        open_folder(hparams, run_opts, *record)
        prepare_data(hparams)
        tokens = prepare_tokens(hparams)
        brain = build_brain(hparams, run_opts, tokens, stopper)
        for pool in brain.pools.values():
            stack.callback(pool.close)
        train_and_score(brain, hparams, tokens)
        leave_results(brain, hparams, tokens)
    ranks.finish()


def main(arguments):
    """Exit code of a run: 0; 2 after an error that the user can mend; 143 or 130 after SIGTERM or Ctrl-C."""
    stopper = stopping.Stopper()
    try:
        with stopper.installed():
            run(arguments, stopper)
    except RecipeError as problem:
        print(f"train.py: {problem}", file=sys.stderr)
        return 2
    except OSError as problem:
        if problem.errno not in NO_ROOM:
            raise
        print(
            f"train.py: no room on the disk: {problem}. Make room; the same command goes on.",
            file=sys.stderr,
        )
        return 2
    except stopping.Stopped as stop:
        print(
            f"train.py: stopped by {stop}. The same command goes on from where it was.",
            file=sys.stderr,
        )
        return stop.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
