"""Pairs of runs and what they say: the ratio of CPU seconds, its interval, and a control."""

import math
import random
import statistics


def pairs(run_a, run_b, count, tell=print):
    """Runs a b b a … until each ran `count` times; returns both lists of results, in order of time.

    Each pair is told as soon as it is done. Whoever interrupts (Ctrl-C) keeps the pairs that are: from two on they are returned.
    """
    a, b = [], []
    for pair in range(count):
        order = [(run_a, a), (run_b, b)] if pair % 2 == 0 else [(run_b, b), (run_a, a)]
        try:
            for run, results in order:
                results.append(run())
        except KeyboardInterrupt:
            if pair < 2:
                raise
            tell(f"interrupted: the {pair} pairs that are done are kept")
            return a[:pair], b[:pair]
        tell(f"pair {pair + 1} of {count}: " + ", ".join(f"{key} {a[-1][key]:.3g} | {b[-1][key]:.3g}" for key in ("cpu", "wall") if key in a[-1]))
    return a, b


def interval(ratios, resamples=10_000):
    """Geometric mean of ratios and its 95 % bootstrap interval; the same for the same ratios."""
    logs = [math.log(r) for r in ratios]
    dice = random.Random(1)
    means = sorted(statistics.fmean(dice.choices(logs, k=len(logs))) for _ in range(resamples))
    at = lambda share: math.exp(means[min(int(share * resamples), resamples - 1)])
    return {"ratio": math.exp(statistics.fmean(logs)), "low": at(0.025), "high": at(0.975), "pairs": len(ratios)}


def compare(a, b, key):
    """a ÷ b of one figure, pair by pair."""
    return interval([x[key] / y[key] for x, y in zip(a, b)])


def control(results, key):
    """A run ÷ the run of the same contender after it: 1, but for the machine's noise."""
    ratios = [x[key] / y[key] for x, y in zip(results[::2], results[1::2])]
    return interval(ratios) if ratios else None


def median(results, key):
    return statistics.median(r[key] for r in results)
