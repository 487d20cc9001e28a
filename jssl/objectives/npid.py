"""NPID, instance discrimination: every image is a class of its own, with a row in a memory bank."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import cosine, entries, random_units, rows_at, similarity, unit
from jssl.objectives.base import Objective, named


def instance_discrimination(z, index, memory, *, temperature=0.07) -> jax.Array:
    """Computes the cross entropy of finding an image among all remembered images, by a non-parametric
    softmax.

    l_b = -z_b . m_index[b] / T + log sum_n exp(z_b . m_n / T), all normalised.

    Args:
        z: [B, D].
        index: [B] integers, the row of memory that is each example's own.
        memory: [N, D], no gradient.
        temperature: T.
    Returns:
        [B]; nan for an index that is not in the memory.
    Raises:
        ValueError: for other shapes.
        TypeError: for an index that is no integer.
    References:
        NPID, arXiv:1805.01978
    Examples:
        >>> loss = instance_discrimination(jnp.eye(2), jnp.array([0, 1]), jnp.eye(2), temperature=1.0)
        >>> print(f"{loss.mean():.3f}")
        0.313
    """
    z, index, memory = check(z=(z, "B D"), index=(index, "B", int), memory=(memory, "N D"))
    check_positive(temperature=temperature)
    logits = similarity(unit(z), jax.lax.stop_gradient(unit(memory))) / temperature
    return jax.nn.logsumexp(logits, axis=1) - entries(logits, index)


def noise_contrast(z, index, memory, noise, *, normalizer, temperature=0.07) -> jax.Array:
    """Computes noise-contrastive estimation: an image's own row is classified against rows drawn at random.

    p(n) = exp(z_b . m_n / T) / Z, all normalised; l_b = -log h(index[b]) - sum_k log(1 - h(noise[b, k])) with
    h(n) = p(n) / (p(n) + K / N).

    Args:
        z: [B, D].
        index: [B] integers, the row of memory that is each example's own.
        memory: [N, D], no gradient.
        noise: [B, K] integers, rows drawn uniformly for each example.
        normalizer: Z, a scalar that estimates the sum over the whole memory, no gradient.
        temperature: T.
    Returns:
        [B]; nan for an index that is not in the memory.
    Raises:
        ValueError: for other shapes.
        TypeError: for an index that is no integer.
    References:
        NPID, arXiv:1805.01978
    Examples:
        >>> arrays = jnp.eye(2), jnp.array([0, 1]), jnp.eye(2), jnp.array([[1], [0]])
        >>> print(noise_contrast(*arrays, normalizer=2.0, temperature=1.0).round(3))
        [1.006 1.006]
    """
    z, index, memory, noise, normalizer = check(
        z=(z, "B D"),
        index=(index, "B", int),
        memory=(memory, "N D"),
        noise=(noise, "B K", int),
        normalizer=(normalizer, ""),
    )
    check_positive(temperature=temperature)
    logits = _some_logits(z, memory, jnp.concatenate([index[:, None], noise], axis=1)) / temperature
    odds = logits - jnp.log(jax.lax.stop_gradient(normalizer)) - jnp.log(noise.shape[1] / len(memory))
    return jax.nn.softplus(-odds[:, 0]) + jnp.sum(jax.nn.softplus(odds[:, 1:]), axis=1)


def _some_logits(z, memory, rows):
    """Cosines [B, K] with some rows [B, K] of a memory; nan for indices out of range."""
    chosen = rows_at(jax.lax.stop_gradient(unit(memory)), rows)
    return jnp.einsum("bd,bkd->bk", unit(z), chosen, precision=jax.lax.Precision.HIGHEST)


def instance_memory(
    name: str = "cls",
    *,
    examples: int,
    temperature=0.07,
    momentum=0.5,
    proximal=0.0,
    negatives: int = 0,
    seed: int = 0,
) -> Objective:
    """Makes NPID's objective: each image is compared with a bank of all images' embeddings, averaged over
    time.

    It reads `student[name]` [V, B, D], of which view 0 counts, and `views["index"]` [B], ids below
    `examples`. After the loss the images' rows move: row <- normalise(momentum row + (1 - momentum) z).

    Args:
        name: of the embeddings.
        examples: images in the data set.
        temperature: of the softmax.
        momentum: the share of its old value that a row keeps.
        proximal: the weight of |z - row|^2, which slows the embeddings down.
        negatives: the number of rows drawn for each image, for `noise_contrast`; 0 for the exact softmax over
            all rows.
        seed: of the random unit rows that the bank starts with, and of the negatives, which also depend on
            the step.
    Returns:
        An `Objective`; memory {"bank": [examples, D]}, and with negatives also "normalizer" [], Z, which the
        first batch sets; metric positive_similarity, the mean cosine of an embedding and its row.
    Raises:
        ValueError: for a missing name, no index, or other shapes. An index outside the bank gives a loss of
            nan.
    References:
        NPID, arXiv:1805.01978
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective = instance_memory(examples=5, momentum=0.0)
        >>> outputs = Outputs({"cls": jnp.ones((1, 2, 4))}, views={"index": jnp.array([3, 0])})
        >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
        >>> memory["bank"][3].tolist()
        [0.5, 0.5, 0.5, 0.5]
    """

    def init(outputs):
        bank = random_units(examples, named(outputs.student, name, "student"), seed=seed)
        return {"bank": bank} | ({"normalizer": -jnp.ones((), bank.dtype)} if negatives else {})

    def apply(memory, outputs, step):
        z, index = check(
            student=(named(outputs.student, name, "student")[0], "B D"),
            index=(named(outputs.views, "index", "views"), "B", int),
        )
        z, bank = unit(z), jnp.asarray(memory["bank"])
        old, new = bank[index], jax.lax.stop_gradient(z)
        if negatives:
            noise = jax.random.randint(
                jax.random.fold_in(jax.random.key(seed), step), (len(z), negatives), 0, examples
            )
            first = jnp.exp(
                _some_logits(new, bank, jnp.concatenate([index[:, None], noise], 1)) / temperature
            )
            z_all = jnp.where(memory["normalizer"] > 0, memory["normalizer"], examples * jnp.mean(first))
            losses = noise_contrast(z, index, bank, noise, normalizer=z_all, temperature=temperature)
            memory = memory | {"normalizer": z_all}
        else:
            losses = instance_discrimination(z, index, bank, temperature=temperature)
        losses = losses + proximal * jnp.sum((z - old) ** 2, axis=1)
        bank = bank.at[index].set(unit(momentum * old + (1 - momentum) * new))
        return jnp.mean(losses), memory | {"bank": bank}, {"positive_similarity": jnp.mean(cosine(new, old))}

    return Objective(init, apply)
