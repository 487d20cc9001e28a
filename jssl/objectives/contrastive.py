"""SimCLR, DCL, InfoNCE, MoCo v3, CLIP, SigLIP, SupCon: losses that tell each example of a batch from the
others.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_batch, check_positive
from jssl.arrays.vectors import cosine, similarity, unit
from jssl.objectives import blockwise


def nt_xent(z_a, z_b, *, temperature=0.1, block_size: int | None = None) -> jax.Array:
    """Computes SimCLR's loss, NT-Xent: the cross entropy of finding an example's other view among both views
    of the whole batch.

    l_i = -z_i . z_i' / T + log sum_{k != i} exp(z_i . z_k / T), all z normalised; k runs over all 2B rows but
    i.

    Args:
        z_a: [B, D], the first view.
        z_b: [B, D], the second view.
        temperature: T.
        block_size: the number of rows compared at a time, which gives the same value and gradient in O(B *
            block_size) memory instead of O(B^2); None for all at once.
    Returns:
        [2B], the anchors of z_a, then those of z_b.
    Raises:
        ValueError: for other shapes, or a batch of one.
        TypeError: for other dtypes.
    References:
        SimCLR, arXiv:2002.05709
    Examples:
        >>> z = jnp.eye(4)
        >>> nt_xent(z, z, temperature=0.5).shape
        (8,)
        >>> print(f"{nt_xent(z, z, temperature=0.5).mean():.3f}")
        0.594
    """
    z_a, z_b = check(z_a=(z_a, "B D"), z_b=(z_b, "B D"))
    check_batch(2, "negatives", z_a=z_a)
    check_positive(temperature=temperature)
    z = unit(jnp.concatenate([z_a, z_b]))
    if block_size is not None:
        return blockwise.nt_xent(z, temperature, block_size)
    logits = similarity(z, z) / temperature
    rows = jnp.arange(len(z))
    positive = logits[rows, jnp.roll(rows, len(z_a))]
    others = rows[:, None] != rows
    return jax.nn.logsumexp(logits, axis=1, where=others) - positive


def decoupled_nt_xent(z_a, z_b, *, temperature=0.1, sigma=None) -> jax.Array:
    """Computes the decoupled contrastive loss, DCL: NT-Xent whose denominator leaves the positive out.

    l_i = -w_i z_i . z_i' / T + log sum_{k != i, i'} exp(z_i . z_k / T), all z normalised; w = 1, or with
    sigma w = 2 - B softmax_batch(z_i . z_i' / sigma), without gradient (DCLW).

    Args:
        z_a: [B, D], the first view.
        z_b: [B, D], the second view.
        temperature: T.
        sigma: the width of the weights; None for no weights.
    Returns:
        [2B], the anchors of z_a, then those of z_b.
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        DCL, arXiv:2110.06848
    Examples:
        >>> print(decoupled_nt_xent(jnp.eye(3), jnp.eye(3), temperature=1.0).round(3))
        [0.386 0.386 0.386 0.386 0.386 0.386]
    """
    z_a, z_b = check(z_a=(z_a, "B D"), z_b=(z_b, "B D"))
    check_batch(2, "negatives", z_a=z_a)
    check_positive(temperature=temperature)
    z = unit(jnp.concatenate([z_a, z_b]))
    example = jnp.tile(jnp.arange(len(z_a)), 2)
    negative = jax.nn.logsumexp(similarity(z, z) / temperature, axis=1, where=example[:, None] != example)
    positive = cosine(z_a, z_b)
    weight = 1.0
    if sigma is not None:
        check_positive(sigma=sigma)
        weight = jax.lax.stop_gradient(2 - len(z_a) * jax.nn.softmax(positive / sigma))
    return negative - jnp.tile(weight * positive / temperature, 2)


def info_nce(query, key, negatives=None, *, temperature=0.07) -> jax.Array:
    """Computes InfoNCE: the cross entropy of finding a query's own key among negatives, or among the keys of
    the batch.

    l_i = -q_i . k_i / T + log(exp(q_i . k_i / T) + sum_n exp(q_i . n / T)), all normalised. Gradients reach
    query and key, but not the negatives; stop the gradient of a teacher's keys before the call.

    Args:
        query: [B, D].
        key: [B, D].
        negatives: [Q, D], for instance a queue; None for the other keys of the batch.
        temperature: T.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes, or a batch of one without negatives.
    References:
        MoCo, arXiv:1911.05722
        MoCo v3, arXiv:2104.02057
        CPC, arXiv:1807.03748 (the bound)
    Examples:
        >>> print(f"{info_nce(jnp.eye(2), jnp.eye(2), temperature=1.0).mean():.3f}")
        0.313
        >>> print(f"{info_nce(jnp.eye(2), jnp.eye(2), -jnp.eye(2), temperature=1.0).mean():.3f}")
        0.408
    """
    query, key = check(query=(query, "B D"), key=(key, "B D"))
    check_positive(temperature=temperature)
    query, key = unit(query), unit(key)
    if negatives is None:
        check_batch(2, "negatives", query=query)
        logits = similarity(query, key) / temperature
        return jax.nn.logsumexp(logits, axis=1) - jnp.diagonal(logits)
    query, negatives = check(query=(query, "B D"), negatives=(negatives, "Q D"))
    positive = jnp.sum(query * key, axis=1) / temperature
    others = similarity(query, jax.lax.stop_gradient(unit(negatives))) / temperature
    return jnp.logaddexp(positive, jax.nn.logsumexp(others, axis=1)) - positive


def scaled_info_nce(query, key, *, temperature=0.2) -> jax.Array:
    """Computes MoCo v3's loss of one direction: 2 T times InfoNCE among the batch's keys, which get no
    gradient.

    Args:
        query: [B, D].
        key: [B, D], no gradient.
        temperature: T.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        MoCo v3, arXiv:2104.02057; CMAE, arXiv:2207.13532; SiT, arXiv:2104.03602
    Examples:
        >>> print(f"{scaled_info_nce(jnp.ones((4, 2)), jnp.ones((4, 2)), temperature=0.5)[0]:.3f}")  # log 4
        1.386
    """
    return 2 * temperature * info_nce(query, jax.lax.stop_gradient(key), temperature=temperature)


def symmetric_info_nce(a, b, *, logit_scale, block_size: int | None = None) -> jax.Array:
    """Computes CLIP's loss: the cross entropy of finding b_i from a_i and a_i from b_i, the mean of both
    directions.

    s = logit_scale cos(a_i, b_j); l_i = (log sum_j exp s_ij + log sum_j exp s_ji) / 2 - s_ii.

    Args:
        a: [B, D].
        b: [B, D], paired with a row by row.
        logit_scale: a scalar that multiplies the cosine (already exponentiated), with gradient.
        block_size: rows compared at a time, in O(B * block_size) memory; None for all at once.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        CLIP, arXiv:2103.00020
    Examples:
        >>> print(symmetric_info_nce(jnp.eye(2), jnp.eye(2), logit_scale=2.0).round(3))
        [0.127 0.127]
    """
    a, b, logit_scale = check(a=(a, "B D"), b=(b, "B D"), logit_scale=(logit_scale, ""))
    check_batch(2, "pairs that do not match", a=a)
    a, b = unit(a), unit(b)
    if block_size is not None:
        return blockwise.symmetric_info_nce(a, b, logit_scale, block_size)
    logits = logit_scale * similarity(a, b)
    return (jax.nn.logsumexp(logits, axis=1) + jax.nn.logsumexp(logits, axis=0)) / 2 - jnp.diagonal(logits)


def sigmoid_pairwise(a, b, *, logit_scale, logit_bias, block_size: int | None = None) -> jax.Array:
    """Computes SigLIP's loss: every pair of the batch is classified by itself as matching or not.

    l_i = sum_j log(1 + exp(-y_ij s_ij)), s = logit_scale cos(a_i, b_j) + logit_bias, y = 1 on the diagonal,
    else -1.

    Args:
        a: [B, D].
        b: [B, D], paired with a row by row.
        logit_scale: a scalar that multiplies the cosine (already exponentiated), with gradient.
        logit_bias: a scalar added to it, with gradient.
        block_size: rows compared at a time, in O(B * block_size) memory; None for all at once.
    Returns:
        [B], summed over each row of pairs.
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        SigLIP, arXiv:2303.15343
    Examples:
        >>> print(sigmoid_pairwise(jnp.eye(2), jnp.eye(2), logit_scale=10.0, logit_bias=-5.0).round(4))
        [0.0134 0.0134]
    """
    scalars = dict(logit_scale=(logit_scale, ""), logit_bias=(logit_bias, ""))
    a, b, logit_scale, logit_bias = check(a=(a, "B D"), b=(b, "B D"), **scalars)
    check_batch(2, "pairs that do not match", a=a)
    a, b = unit(a), unit(b)
    if block_size is not None:
        return blockwise.sigmoid_pairwise(a, b, logit_scale, logit_bias, block_size)
    logits = logit_scale * similarity(a, b) + logit_bias
    sign = 2 * jnp.eye(len(a), dtype=logits.dtype) - 1
    return jnp.sum(jax.nn.softplus(-sign * logits), axis=1)


def supervised_contrastive(z_a, z_b, labels, *, temperature=0.1) -> jax.Array:
    """Computes SupCon: NT-Xent with all rows of the same class as positives, averaged outside the logarithm.

    l_i = -mean_{p in P(i)} [z_i . z_p / T - log sum_{k != i} exp(z_i . z_k / T)], all z normalised; without T
    / base_T.

    Args:
        z_a: [B, D], the first view.
        z_b: [B, D], the second view.
        labels: [B] integers.
        temperature: T.
    Returns:
        [2B], the anchors of z_a, then those of z_b.
    Raises:
        ValueError: for other shapes, or a batch of one.
        TypeError: for labels that are not integers.
    References:
        SupCon, arXiv:2004.11362
    Examples:
        >>> z = jnp.eye(3)[jnp.array([0, 0, 1])]
        >>> loss = supervised_contrastive(z, z, jnp.array([7, 7, 2]), temperature=1.0)
        >>> print([f"{anchor:.3f}" for anchor in loss[:3]])
        ['1.318', '1.318', '0.905']
    """
    z_a, z_b, labels = check(z_a=(z_a, "B D"), z_b=(z_b, "B D"), labels=(labels, "B", int))
    check_batch(2, "negatives", z_a=z_a)
    check_positive(temperature=temperature)
    z, labels = unit(jnp.concatenate([z_a, z_b])), jnp.tile(labels, 2)
    logits = similarity(z, z) / temperature
    others = ~jnp.eye(len(z), dtype=bool)
    positives = (labels[:, None] == labels) & others
    return jax.nn.logsumexp(logits, axis=1, where=others) - jnp.mean(logits, axis=1, where=positives)
