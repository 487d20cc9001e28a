"""Schedules: functions of the step alone, so that a resumed run needs no further state."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Schedule = Callable[[jax.Array | int], jax.Array | float]  # step -> value; jit-able


def constant(value: float) -> Schedule:
    """Makes a constant schedule.

    Args:
        value: the value at every step.
    Returns:
        A schedule, step -> value [].
    Examples:
        >>> float(constant(0.5)(7))
        0.5
    """
    return lambda step: jnp.asarray(value, dtype=float)


def linear(start: float, end: float, steps: int) -> Schedule:
    """Makes a straight line, constant after its end: start + (end - start) * min(step / steps, 1).

    It is used for the warm-up of a temperature (DINO: 0.04 to 0.07 over the first 30 epochs) and the momentum
    of I-JEPA.

    Args:
        start: the value at step 0.
        end: the value from step `steps` on.
        steps: length of the line in steps, at least 1.
    Returns:
        A schedule, step -> value [].
    Raises:
        ValueError: if steps is below 1.
    Examples:
        >>> [round(float(linear(0.04, 0.07, 3)(step)), 3) for step in range(5)]
        [0.04, 0.05, 0.06, 0.07, 0.07]
    """
    _check_steps("linear", steps)
    return lambda step: start + (end - start) * _progress(step, steps)


def cosine(start: float, end: float, steps: int) -> Schedule:
    """Makes half a cosine, constant after its end: end + (start - end) * (1 + cos(pi * min(step / steps, 1)))
    / 2.

    Args:
        start: the value at step 0.
        end: the value from step `steps` on.
        steps: length of the curve in steps, at least 1.
    Returns:
        A schedule, step -> value [].
    Raises:
        ValueError: if steps is below 1.
    References:
        SGDR, arXiv:1608.03983
    Examples:
        >>> [round(float(cosine(1.0, 0.0, 4)(step)), 3) for step in (0, 2, 4, 9)]
        [1.0, 0.5, 0.0, 0.0]
    """
    _check_steps("cosine", steps)
    return lambda step: end + (start - end) * (1 + jnp.cos(jnp.pi * _progress(step, steps))) / 2


def warmup_cosine(peak: float, *, steps: int, warmup: int, start: float = 0.0, end: float = 0.0) -> Schedule:
    """Makes the usual learning rate: a line from start to peak, then half a cosine to end.

    Args:
        peak: the value at step `warmup`, already scaled to the batch.
        steps: the whole length, warm-up included.
        warmup: length of the line in steps, 0 (no warm-up) or more, below `steps`.
        start: the value at step 0 where there is a warm-up (I-JEPA: 2e-4).
        end: the value from step `steps` on.
    Returns:
        A schedule, step -> value [].
    Raises:
        ValueError: if steps is below 1, or warmup is negative or not below steps.
    References:
        Warm-up, arXiv:1706.02677; cosine, arXiv:1608.03983; step by step as MAE, MoCo v3, BYOL, SimCLR and
        I-JEPA
    Examples:
        >>> rate = warmup_cosine(0.3, steps=9, warmup=3)
        >>> [round(float(rate(step)), 3) for step in (0, 1, 3, 6, 9)]
        [0.0, 0.1, 0.3, 0.15, 0.0]
    """
    _check_steps("warmup_cosine", steps)
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup_cosine: warmup must be at least 0 and below steps = {steps}, got {warmup}")
    decay = cosine(peak, end, steps - warmup)
    if warmup == 0:
        return decay
    rise = linear(start, peak, warmup)
    return lambda step: jnp.where(step < warmup, rise(step), decay(step - warmup))


def warmup_drops(
    peak: float, *, drops: Sequence[int], warmup: int, start: float = 0.0, end: float = 0.0
) -> Schedule:
    """Makes a learning rate that falls by steps: a line from start to peak, then the same factor at each
    drop, down to end.

    Args:
        peak: the value at step `warmup`, already scaled to the batch.
        drops: the steps from which on the value is lower, in order.
        warmup: length of the line in steps, 0 (no warm-up) or more, at most the first drop.
        start: the value at step 0 where there is a warm-up.
        end: the value after the last drop, positive; each drop is by (end / peak) ** (1 / len(drops)).
    Returns:
        A schedule, step -> value [].
    Raises:
        ValueError: without drops, if they are not in order or the first comes before the warm-up's end, or
            where end is not positive.
    References:
        SimMIM, arXiv:2111.09886, `MultiStepLRScheduler`; rotations, arXiv:1803.07728
    Examples:
        >>> rate = warmup_drops(1.0, drops=(4, 6), warmup=2, end=0.01)
        >>> [round(float(rate(step)), 3) for step in (0, 1, 2, 3, 4, 5, 6, 9)]
        [0.0, 0.5, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    if not drops or list(drops) != sorted(drops) or not 0 <= warmup <= drops[0]:
        raise ValueError(
            f"warmup_drops: drops must be steps in order after the warm-up of {warmup}, got {tuple(drops)}"
        )
    if end <= 0:
        raise ValueError(f"warmup_drops: end must be positive, got {end}; each drop is by one factor")
    factor, places = (end / peak) ** (1 / len(drops)), jnp.asarray(drops)
    rise = linear(start, peak, max(1, warmup))

    def value(step):
        fallen = peak * factor ** jnp.sum(jnp.asarray(step) >= places)
        return jnp.where(step < warmup, rise(step), fallen)

    return value


def by_epoch(schedule: Schedule, steps: int, *, after: int = 0, first: int = 0) -> Schedule:
    """Makes a schedule that changes once per epoch, as in code that sets the learning rate before each epoch.

    Args:
        schedule: the schedule whose values are taken.
        steps: the steps of an epoch, at least 1.
        after: the step from which it changes once per epoch, such as the end of a warm-up; before, it equals
            `schedule`.
        first: the number of the first epoch, 0, or 1 where authors count from one.
    Returns:
        A schedule, step -> value [].
    Raises:
        ValueError: if steps is below 1.
    References:
        MoCo, PCL and SimSiam, `adjust_learning_rate(optimizer, epoch, args)`; from 1 in SupCon and InfoMin
    Examples:
        >>> [round(float(by_epoch(cosine(1.0, 0.0, 6), 2)(step)), 2) for step in range(6)]
        [1.0, 1.0, 0.75, 0.75, 0.25, 0.25]
    """
    _check_steps("by_epoch", steps)

    def value(step):
        step = jnp.asarray(step)
        begun = jnp.maximum((step // steps + first) * steps, after)
        return schedule(jnp.where(step < after, step, begun))

    return value


def teacher_momentum(base: float, steps: int) -> Schedule:
    """Makes the momentum of an EMA teacher: 1 - (1 - base) * (1 + cos(pi * min(step / steps, 1))) / 2.

    Args:
        base: the momentum at step 0, in [0, 1].
        steps: the step from which the teacher no longer moves (momentum 1).
    Returns:
        A schedule, step -> momentum [].
    Raises:
        ValueError: if base lies outside [0, 1], or steps is below 1.
    References:
        BYOL, arXiv:2006.07733; the same in DINO and MoCo v3
    Examples:
        >>> [round(float(teacher_momentum(0.99, 10)(step)), 4) for step in (0, 5, 10, 11)]
        [0.99, 0.995, 1.0, 1.0]
    """
    if not 0.0 <= base <= 1.0:
        raise ValueError(f"teacher_momentum: base must lie in [0, 1], got {base}")
    return cosine(base, 1.0, steps)


def every(steps: int, momentum: Schedule) -> Schedule:
    """Makes the momentum of a teacher that moves only once every `steps` steps.

    Args:
        steps: the steps between two moves, such as those of an epoch, at least 1.
        momentum: a schedule of the number of moves so far.
    Returns:
        A schedule, step -> momentum []; it is 1 except at the last of every `steps` steps.
    Raises:
        ValueError: if steps is below 1.
    References:
        SdAE, arXiv:2208.00449, `--ema_op per_epoch`
    Examples:
        >>> [round(float(every(2, linear(0.5, 1.0, 4))(step)), 3) for step in range(6)]
        [1.0, 0.5, 1.0, 0.625, 1.0, 0.75]
    """
    _check_steps("every", steps)

    def value(step):
        step = jnp.asarray(step)
        return jnp.where((step + 1) % steps == 0, momentum(step // steps), 1.0)

    return value


def _progress(step, steps: int) -> jax.Array:
    return jnp.clip(jnp.asarray(step) / steps, 0.0, 1.0)


def _check_steps(name: str, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"{name}: steps must be at least 1, got {steps}")
