"""Checks of a stage's lists before anything slow begins."""

import logging
from typing import Any

from errors import RecipeError
from models.pesq_loss import package
from scoring.metrics import scores_of
from training.freezing import Freezing
from training.needs import PREDICTIONS, needs_of, reached_by_losses

logger = logging.getLogger(__name__)


def check_stage(hparams: dict[str, Any]) -> None:
    """RecipeError for what cannot be meant; narrows modules and loads to those in use."""
    one_of("select_by", hparams["select_by"], (None, "loss", *scores_of(hparams["valid_metrics"])))
    for key in ("frozen_models", "unfrozen_models", "muon_models"):
        for name in hparams[key] or []:
            one_of(key, name, hparams["modules"])
    strays = set(hparams["unfrozen_models"] or []) - set(hparams["frozen_models"] or [])
    if strays:
        raise RecipeError(
            f"unfrozen_models: {', '.join(sorted(strays))} is not frozen, so it cannot be released."
            " Add it to frozen_models, or leave it out of both: then it trains from epoch 1."
        )
    check_losses(hparams)
    check_search(hparams)
    metrics = [*hparams["valid_metrics"], *hparams["test_metrics"]]
    used = needs_of(hparams, metrics).modules()
    hparams["modules"] = {name: m for name, m in hparams["modules"].items() if name in used}
    hparams["loads"] = {name: s for name, s in hparams["loads"].items() if name in used}
    for name, source in hparams["loads"].items():
        source.check(name)
    check_taps(hparams)
    check_epochs(hparams)


def check_losses(hparams: dict[str, Any]) -> None:
    """A loss has a weight, and what losses stand on is listed or installed."""
    losses = {name: loss for name, loss in hparams["losses"].items() if loss.listed}
    if "pesq_loss" in losses:
        package()
    for name, loss in losses.items():
        for prediction in loss.reads:
            one_of(f"losses: {name} reads", prediction, PREDICTIONS)
    if not any(loss.weight for loss in losses.values()) and hparams["number_of_epochs"]:
        raise RecipeError(
            f"losses: none has a weight above 0 (reported only: {', '.join(losses) or 'none'}), so "
            f"nothing would train. Give one of {', '.join(hparams['losses'])} a weight, or "
            "--number_of_epochs=0."
        )
    for name, loss in losses.items():
        if not (loss.weight and loss.gradient_ratio):
            continue
        ratio = f"{name.removesuffix('_loss')}_ratio"
        if loss.balance_against not in losses:
            raise RecipeError(
                f"{name}: its gradient is balanced against {loss.balance_against}, which is not "
                f"listed. Give {loss.balance_against} a weight (0 will do), or --{ratio}=null."
            )
        releases = set(hparams["unfrozen_models"] or []) | (
            set(hparams["modules"]) - set(hparams["frozen_models"] or [])
        )
        if name == "mimic" and "perceptual_model" in releases:
            raise RecipeError(
                "mimic_ratio: a balanced mimic loss reaches the enhancer alone, so perceptual_model"
                " would not train. Freeze it, or give --mimic_ratio=null and a --mimic_weight."
            )


def check_search(hparams: dict[str, Any]) -> None:
    """The networks that the search calls are trained by a listed loss."""
    needs = needs_of(hparams, [*hparams["valid_metrics"], *hparams["test_metrics"]])
    losses = hparams["losses"]
    for loss, called in (
        ("ctc", needs.hypotheses and needs.ctc_output),
        ("seq", needs.hypotheses and needs.attention_decoder),
    ):
        if called and not (loss in losses and losses[loss].listed):
            raise RecipeError(
                f"decoding_by: {hparams['decoding'].kind} calls a network that no loss trains, as "
                f"{loss}_weight is null. Give {loss}_weight a number (0 where parameters are loaded"
                " and shall stay), or choose another decoding_by or --beam={ctc_weight: 0}."
            )


def check_taps(hparams: dict[str, Any]) -> None:
    """The perceptual model has the layers that the mimic loss compares."""
    if "perceptual_model" not in hparams["modules"]:
        return
    taps, model = hparams["mimic_taps"], hparams["modules"]["perceptual_model"]
    accepted = model.tap_names() if hasattr(model, "tap_names") else taps
    for name in taps:
        one_of("mimic_taps", name, accepted)
    if not taps:
        raise RecipeError(f"mimic_taps: none. Give one or more of {', '.join(accepted)}.")


def check_epochs(hparams: dict[str, Any]) -> None:
    """Something trains in every epoch; a released module that no loss reaches is told."""
    freezing = Freezing(
        hparams["frozen_models"], hparams["unfrozen_models"], hparams["unfreeze_epoch"]
    )
    for epoch in range(1, hparams["number_of_epochs"] + 1):
        free = {name for name in hparams["modules"] if not freezing.is_frozen(name, epoch)}
        if not free & reached_by_losses(hparams, epoch):
            raise RecipeError(
                f"Nothing trains in epoch {epoch}: the losses that count then reach "
                f"{', '.join(sorted(reached_by_losses(hparams, epoch))) or 'no module'}, of which all are "
                "frozen. Turn ctc_epochs, unfreeze_epoch, frozen_models or a loss's weight."
            )
        if epoch == hparams["unfreeze_epoch"]:
            for name in set(hparams["unfrozen_models"] or []) & free - reached_by_losses(hparams, epoch):
                logger.warning(
                    "%s is released in epoch %d, but no loss reaches it then (clean_epochs: %d)",
                    name,
                    epoch,
                    hparams["clean_epochs"],
                )


def check_typed(hparams: dict[str, Any], typed: dict[str, Any]) -> None:
    """What is typed counts: a weight that a ratio overrules is refused."""
    for key in ("mimic_weight", "pesq_weight"):
        if typed.get(key) not in (None, 0, 1) and hparams.get("mimic_ratio"):
            raise RecipeError(
                f"--mimic_weight={typed['mimic_weight']} has no effect while mimic_ratio is "
                f"{hparams['mimic_ratio']}. Give --mimic_ratio=null too, or turn mimic_ratio."
            )


def one_of(key: str, value: Any, accepted: Any) -> None:
    """RecipeError unless a value is among the accepted ones."""
    if value not in accepted:
        raise RecipeError(f"{key}: {value!r} is not one of {', '.join(map(str, accepted))}.")
