"""Checks of a stage's lists before anything slow begins."""

import logging
from typing import Any

from errors import RecipeError, one_of
from models.pesq_loss import package
from models.saved import file_of
from scoring.metrics import scores_of
from training.freezing import Freezing
from training.needs import PREDICTIONS, needs_of, reached_by_losses
from training.objectives import Objective

logger = logging.getLogger(__name__)
OF_ENHANCER = {"enhancer", "enhance_channels", "enhance_dense", "enhance_dropout", "mask_domain"}


def check_stage(hparams: dict[str, Any]) -> None:
    """RecipeError for what cannot be meant; narrows modules and loads to those in use."""
    metrics = [*hparams["valid_metrics"], *hparams["test_metrics"]]
    one_of("select_by", hparams["select_by"], (None, "loss", *scores_of(hparams["valid_metrics"])))
    for key in ("frozen_models", "unfrozen_models", "muon_models"):
        for name in hparams[key] or []:
            one_of(key, name, hparams["modules"])
    strays = set(hparams["unfrozen_models"] or []) - set(hparams["frozen_models"] or [])
    if strays:
        told = f"unfrozen_models: {', '.join(sorted(strays))} is not frozen, so it trains anyway."
        raise RecipeError(f"{told} Add it to frozen_models, or leave it out of both.")
    losses = {name: loss for name, loss in hparams["losses"].items() if loss.listed}
    check_losses(hparams, losses)
    needs = needs_of(hparams, metrics)
    for name, called in (("ctc", needs.ctc_output), ("seq", needs.attention_decoder)):
        if needs.hypotheses and called and name not in losses:
            raise RecipeError(
                f"decoding_by: {hparams['decoding'].kind} calls a network that no loss trains. Give"
                f" {name}_weight a number (0 where its parameters are loaded and shall stay), or "
                "choose another decoding_by, or --beam={ctc_weight: 0}."
            )
    for part in ("modules", "loads"):
        hparams[part] = {n: x for n, x in hparams[part].items() if n in needs.modules()}
    for name, source in hparams["loads"].items():
        source.check(name)
    model = hparams["modules"].get("perceptual_model")
    if hasattr(model, "tap_names"):  # it has the layers that the mimic loss compares
        for name in hparams["mimic_taps"] or [None]:
            one_of("mimic_taps", name, model.tap_names())
    check_epochs(hparams)


def check_losses(hparams: dict[str, Any], losses: dict[str, Objective]) -> None:
    """A loss has a weight, and what losses stand on is listed or installed."""
    if "pesq_loss" in losses:
        package()
    if not any(loss.weight for loss in losses.values()) and hparams["number_of_epochs"]:
        raise RecipeError(
            f"losses: none has a weight above 0, so nothing would train. Give one of "
            f"{', '.join(hparams['losses'])} a weight, or --number_of_epochs=0."
        )
    always = set(hparams["frozen_models"] or []) - set(hparams["unfrozen_models"] or [])
    for name, loss in losses.items():
        for prediction in loss.reads:
            one_of(f"losses: {name} reads", prediction, PREDICTIONS)
        if not (loss.weight and loss.gradient_ratio):
            continue
        if loss.balance_against not in losses:
            raise RecipeError(
                f"{name}: its gradient is balanced against {loss.balance_against}. Give that a "
                f"weight (0 will do), or --{name.removesuffix('_loss')}_ratio=null."
            )
        if "perceptual_enhanced" in loss.reads and "perceptual_model" not in always:
            raise RecipeError(
                "mimic_ratio: a balanced mimic loss reaches the enhancer alone, so perceptual_model"
                " would not train. Freeze it, or give --mimic_ratio=null and a --mimic_weight."
            )


def check_epochs(hparams: dict[str, Any]) -> None:
    """Something trains in every epoch."""
    lists = hparams["frozen_models"], hparams["unfrozen_models"]
    freezing = Freezing(*lists, hparams["unfreeze_epoch"])
    for epoch in range(1, hparams["number_of_epochs"] + 1):
        reached = reached_by_losses(hparams, epoch)
        if all(freezing.is_frozen(name, epoch) for name in reached):
            raise RecipeError(
                f"Nothing trains in epoch {epoch}: no loss counts then, or what they reach is "
                "frozen. Turn ctc_epochs, unfreeze_epoch, frozen_models or a loss's weight."
            )


def check_typed(hparams: dict[str, Any], typed: dict[str, Any]) -> None:
    """What is typed counts: a weight that a gradient ratio overrules is refused, and a size that
    comes with a checkpoint is told."""
    for name, loss in hparams["losses"].items():
        key = f"{name.removesuffix('_loss')}_weight"
        if loss.gradient_ratio and typed.get(key) not in (None, 0, 1, loss.gradient_ratio):
            other = ", or --mimic_ratio=null too" if name == "mimic" else ""
            raise RecipeError(
                f"--{key}={typed[key]} has no effect: its gradient is {loss.gradient_ratio} "
                f"times as long as that of {loss.balance_against}. Give --{key}=1{other}."
            )
    path = hparams.get("pretrained_enhance_path")
    if path and file_of("enhance_model", path).with_suffix(".json").is_file():
        for key in sorted(OF_ENHANCER & typed.keys()):
            logger.warning("--%s is ignored: %s has its own kind and sizes", key, path)
