"""How long what is left will take, judged by the runs that are finished."""

from statistics import mean

from results_table.state import read_record


def minutes_spent(finished):
    """Finished runs -> the minutes of each."""
    return {run: read_record(run)["minutes"] for run in finished}


def estimate(run, spent):
    """Minutes of a run: the mean of its other seeds, else of its stage with as many epochs, else of its stage; or None.

    ``spent``: finished run -> its minutes.
    """
    likes = (
        lambda other: other.name == run.name,
        lambda other: kind(other) == kind(run),
        lambda other: other.stage == run.stage and bool(epochs(other)) == bool(epochs(run)),
    )
    for alike in likes:
        minutes = [taken for other, taken in spent.items() if alike(other)]
        if minutes:
            return mean(minutes)
    return None


def epochs(run):
    """Epochs that the overrides name; ``default`` where they leave it to the YAML."""
    return dict(run.overrides).get("number_of_epochs", "default")


def kind(run):
    """Runs that should take equally long."""
    return run.stage, epochs(run)


def minutes_left(runs, finished, jobs=1):
    """(minutes of the runs that can be estimated, shared among the jobs; number of runs that cannot)."""
    taken = minutes_spent(finished)
    found = [estimate(run, taken) for run in runs]
    known = [minutes for minutes in found if minutes is not None]
    return sum(known) / jobs, len(found) - len(known)


def shown(left):
    """The result of ``minutes_left`` in words."""
    minutes, unknown = left
    if unknown:
        return f"{minutes:.0f} min and more (no estimate for {unknown} of them yet)"
    return f"about {minutes:.0f} min"
