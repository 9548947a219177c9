"""Bootstrap intervals of means, rates and differences (percentile method, 95 %).

B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993; for word error rates M. Bisani and H. Ney, ICASSP
2004. Resampling an utterance n times is the same as weighting it n: each interval is a product with a matrix of counts.
All return ``(low, high)``, or NaNs where fewer than two utterances leave nothing to resample.
"""

import numpy as np

LEVELS = (2.5, 97.5)  # percent


def interval(values, n=2000, seed=0):
    """Return the interval of the mean of ``values`` [utterances]; ``n`` resamples."""
    values = finite(values)
    if len(values) < 2:
        return float("nan"), float("nan")
    return ends(counts(len(values), n, seed) @ values / len(values))


def paired_interval(a, b, n=2000, seed=0):
    """Return the interval of mean(a - b) over the same utterances.

    ``a``, ``b``: mappings utterance id -> value, of equal ids, or sequences in equal order.
    """
    return interval(np.subtract(*aligned(a, b)), n, seed)


def ratio_interval(errors, lengths, n=2000, seed=0):
    """Return the interval of 100 sum(errors) / sum(lengths), such as WER in percent; both [utterances]."""
    return ratio_ends(finite(errors), finite(lengths), n, seed)


def paired_ratio_interval(errors_a, errors_b, lengths, n=2000, seed=0):
    """Return the interval of the difference in percent of two systems' rates on the same references."""
    *errors, lengths = aligned(errors_a, errors_b, lengths)
    return ratio_ends(np.subtract(*errors), lengths, n, seed)


def seeded_interval(a, b, n=2000, seed=0):
    """Return the interval of mean(a - b) when both seeds and utterances are resampled.

    ``a``, ``b``: mappings training seed -> (utterance id -> value), paired by both; or arrays [seeds, utterances].
    Differences between seeds are part of the uncertainty: without them a lucky run passes for a better method. With
    one seed this is the interval over utterances; with two or three it is rough.
    """
    difference = np.subtract(as_table(a, b), as_table(b, a))
    seeds, utterances = two_level_counts(difference.shape, n, seed)
    return ends(mean_product(seeds, difference, utterances))


def seeded_ratio_interval(errors_a, errors_b, lengths, n=2000, seed=0):
    """Return the interval of the difference in percent of two rates, over seeds and utterances.

    Arguments as ``seeded_interval``; ``lengths``: utterance id -> reference length, or [utterances].
    """
    difference = np.subtract(as_table(errors_a, errors_b), as_table(errors_b, errors_a))
    if isinstance(lengths, dict):
        lengths = [lengths[utt_id] for utt_id in sorted(next(iter(errors_a.values())))]
    seeds, utterances = two_level_counts(difference.shape, n, seed)
    errors = mean_product(seeds, difference, utterances)
    return ends(100.0 * errors / (utterances @ finite(lengths) / utterances.shape[1]))


def counts(size, n, seed):
    """Return how often each of ``size`` items falls into each of ``n`` resamples, [n, size]; rows sum to ``size``."""
    drawn = (
        np.random.default_rng(seed).integers(size, size=(n, size)) + size * np.arange(n)[:, None]
    )
    return np.bincount(drawn.ravel(), minlength=n * size).reshape(n, size).astype(np.float64)


def two_level_counts(shape, n, seed):
    """Return counts of seeds and of utterances, drawn independently."""
    seeds_seed, utterances_seed = np.random.SeedSequence(seed).spawn(2)
    return counts(shape[0], n, seeds_seed), counts(shape[1], n, utterances_seed)


def mean_product(seeds, table, utterances):
    """Return the mean of ``table`` [seeds, utterances] in every resample, [n]."""
    return ((seeds @ table) * utterances).sum(axis=1) / table.size


def ratio_ends(errors, lengths, n, seed):
    """Return the ends of 100 sum(errors) / sum(lengths); a resample without any reference is left out."""
    if errors.shape != lengths.shape:
        raise ValueError(
            f"{errors.shape} errors and {lengths.shape} lengths: one each for every utterance"
        )
    if len(errors) < 2 or lengths.sum() == 0:
        return float("nan"), float("nan")
    drawn = counts(len(errors), n, seed)
    total = drawn @ lengths
    return ends(100.0 * (drawn @ errors)[total > 0] / total[total > 0])


def ends(statistics):
    """Return the 2.5th and the 97.5th percentile as floats."""
    low, high = np.percentile(statistics, LEVELS)
    return float(low), float(high)


def finite(values):
    """Return float64 values of one axis; refuses None and NaN, which would silently become the mean."""
    values = np.array(list(values), dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(
            "values are one number for each utterance: leave out the ones that have no score"
        )
    return values


def aligned(*columns):
    """Return arrays in the same order of utterances; mappings are matched by id and must hold the same ids."""
    if all(isinstance(column, dict) for column in columns):
        check_same_keys("utterances", *columns)
        columns = [[column[key] for key in sorted(columns[0])] for column in columns]
    columns = [finite(column) for column in columns]
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"paired values differ in number: {[len(column) for column in columns]}")
    return columns


def as_table(table, other):
    """Return [seeds, utterances] of ``table``, after checking that ``other`` has the same seeds and utterances."""
    if not isinstance(table, dict):
        if np.shape(table) != np.shape(other) or np.ndim(table) != 2:
            raise ValueError(
                f"tables are [seeds, utterances] alike, not {np.shape(table)} and {np.shape(other)}"
            )
        return np.stack([finite(row) for row in table])
    check_same_keys("seeds", table, other)
    check_same_keys("utterances", *table.values(), *other.values())
    return np.stack([finite(row[key] for key in sorted(row)) for _, row in sorted(table.items())])


def check_same_keys(what, first, *others):
    """Raise ``ValueError`` that names what one mapping has and another has not."""
    for other in others:
        odd = sorted(map(str, first.keys() ^ other.keys()))
        if odd:
            raise ValueError(
                f"paired {what} differ: {', '.join(odd[:8])}" + (" ..." if len(odd) > 8 else "")
            )
