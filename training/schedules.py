"""Learning rate by epoch."""

from speechbrain.nnet.schedulers import LinearScheduler, StepScheduler

from errors import RecipeError


def build_schedule(kind, lr, number_of_epochs, factor=0.7, every=3, final_share=0.05):
    """A SpeechBrain scheduler: called with the epoch, it returns (lr now, lr next).

    ``constant``; ``step``: times ``factor`` every ``every`` epochs; ``linear``: down to ``final_share`` of lr.
    """
    if kind == "constant":
        return StepScheduler(initial_value=lr, decay_factor=1.0, decay_drop=1)
    if kind == "step":
        return StepScheduler(initial_value=lr, decay_factor=factor, decay_drop=every)
    if kind == "linear":
        return LinearScheduler(lr, lr * final_share, max(2, number_of_epochs))
    raise RecipeError(f"lr_schedule: {kind!r} is not one of constant, step, linear.")
