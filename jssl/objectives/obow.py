"""OBoW: crops predict which visual words, of a dictionary updated online, the whole image contains."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.distributions import entropy
from jssl.arrays.keys import sample_keys, uniform
from jssl.objectives.base import Objective, named
from jssl.objectives.moco import enqueue

BORDER = 1  # rows and columns at a map's border that are left out, as padding affects them
NEAR = 3  # side of the neighbourhood that is averaged into a word


def word_distances(tokens, words) -> jax.Array:
    """Computes the squared distances between an image's places and words.

    Args:
        tokens: [B, N, D].
        words: [W, D].
    Returns:
        [B, N, W], without gradient.
    Raises:
        ValueError: for other shapes.
    References:
        OBoW, arXiv:2012.11552
    Examples:
        >>> word_distances(jnp.ones((1, 1, 2)), jnp.array([[1.0, 1.0], [0.0, 0.0]])).tolist()
        [[[0.0, 2.0]]]
    """
    tokens, words = jax.lax.stop_gradient(check(tokens=(tokens, "B N D"), words=(words, "W D")))
    products = jnp.einsum("bnd,wd->bnw", tokens, words, precision=jax.lax.Precision.HIGHEST)
    squares = jnp.sum(tokens**2, axis=-1)[..., None] + jnp.sum(words**2, axis=-1)
    return jnp.maximum(squares - 2 * products, 0)


def bag_of_words(distances, *, sharpness) -> jax.Array:
    """Computes an image's bag of words: how strongly each word occurs at any of its places.

    a[n] = softmax over words of -sharpness distance[n]; bag = max_n a[n], its sum scaled to 1.

    Args:
        distances: [B, N, W], between places and words.
        sharpness: the larger it is, the more a place is assigned to a single word.
    Returns:
        [B, W], summing to 1.
    Raises:
        ValueError: for other shapes.
    References:
        OBoW, arXiv:2012.11552
    Examples:
        >>> print(bag_of_words(jnp.array([[[0.0, 9.0, 9.0], [9.0, 0.0, 9.0]]]), sharpness=1.0).round(3))
        [[0.5 0.5 0. ]]
    """
    (distances,) = check(distances=(distances, "B N W"))
    most = jnp.max(jax.nn.softmax(-sharpness * distances), axis=1)
    return most / jnp.sum(most, axis=-1, keepdims=True)


def bag_divergence(logits, bag) -> jax.Array:
    """Computes the divergence of a predicted bag of words from an image's: KL(bag || softmax(logits)).

    Args:
        logits: [B, W].
        bag: [B, W], summing to 1, no gradient.
    Returns:
        [B], 0 at best.
    Raises:
        ValueError: for other shapes.
    References:
        OBoW, arXiv:2012.11552
    Examples:
        >>> print(bag_divergence(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]])).round(3))
        [0.693]
    """
    logits, bag = check(logits=(logits, "B W"), bag=(bag, "B W"))
    bag = jax.lax.stop_gradient(bag)
    return -jnp.sum(bag * jax.nn.log_softmax(logits), axis=-1) - entropy(bag)


def bag_prediction(
    weigh: Callable[[Any, jax.Array, int], jax.Array],
    name: str = "cls",
    generators: str = "generators",
    *,
    levels: tuple[str, ...] = ("layer3", "layer4"),
    words: int = 8192,
    inverse_delta: float = 15.0,
    kappa: float = 8.0,
    decay: float = 0.99,
    seed: int = 0,
) -> Objective:
    """Makes OBoW's objective: each student view predicts the bag of words of the teacher's whole image.

    It reads `student[name]` [V, B, D], the pooled features of crops: as many global ones as `views["global"]`
    has, then the local ones; student[generators], parameters by level; target[level], of which the first map
    [1, B, H, W, C] counts; and `views["index"]` [B]. The logits of a crop are kappa z . w, with the words'
    weights w = weigh(parameters, words, D) [words, D]. The loss is the mean over levels, summed over the two
    kinds of crops. After the loss, one place of each image, averaged with its neighbours, replaces the oldest
    word.

    Args:
        weigh: (parameters, words [W, C], D) -> the words' weights [W, D].
        name: the name of the features.
        generators: the name of the generators' parameters.
        levels: the names of the teacher's maps.
        words: the number of words in each level's dictionary, at least a batch.
        inverse_delta: the bag's sharpness times the mean distance of a place to its nearest word.
        kappa: scale of the logits.
        decay: the decay of the running mean of that distance.
        seed: the seed of the first words and of the drawn places, which also depend on the step and on the
            image.
    Returns:
        An `Objective`; memory by level {"queue": [words, C], "pointer": [], "distance": []}; metrics
        image_words and batch_words by level, the exponentials of the entropies of a bag and of the batch's
        mean bag; in a collapse both are small.
    Raises:
        ValueError: for a missing name, other shapes, or a map of less than 5 x 5 places.
    References:
        OBoW, arXiv:2012.11552
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective = bag_prediction(lambda kernel, words, dim: words @ kernel, levels=("map",), words=4)
        >>> student = {"cls": jnp.zeros((1, 2, 6)), "generators": {"map": jnp.zeros((3, 6))}}
        >>> views = {"index": jnp.arange(2), "global": jnp.zeros((1, 2))}
        >>> outputs = Outputs(student, {"map": jnp.ones((1, 2, 5, 5, 3))}, views=views)
        >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
        >>> int(memory["map"]["pointer"])
        2
    """
    check_positive(inverse_delta=inverse_delta, kappa=kappa)

    def init(outputs):
        def dictionary(level, number):
            width = _inside(outputs, level).shape[-1]
            drawn = jax.random.normal(jax.random.fold_in(jax.random.key(seed), number), (words, width))
            return {
                "queue": jax.nn.relu(drawn),
                "pointer": jnp.zeros((), jnp.int32),
                "distance": jnp.full((), 0.5, drawn.dtype),
            }

        return {level: dictionary(level, number) for number, level in enumerate(levels)}

    def apply(memory, outputs, step):
        z, index = check(
            student=(named(outputs.student, name, "student"), "V B D"),
            index=(named(outputs.views, "index", "views"), "B", int),
        )
        parameters = named(outputs.student, generators, "student")
        large = len(named(outputs.views, "global", "views"))
        after, losses, metrics = {}, [], {}
        for number, level in enumerate(levels):
            seen, key = _inside(outputs, level), jax.random.fold_in(jax.random.key(seed), step)
            bag, after[level] = _bag(memory[level], seen, inverse_delta, decay)
            luck = uniform(sample_keys(jax.random.fold_in(key, number), index))
            after[level] |= _grown(memory[level], seen, luck)
            weights = weigh(parameters[level], memory[level]["queue"], z.shape[-1]).astype(z.dtype)
            logits = kappa * jnp.matmul(z, weights.T, precision=jax.lax.Precision.HIGHEST)
            each_view = jax.vmap(bag_divergence, (0, None))(logits, bag)
            kinds = [each_view[:large], each_view[large:]]
            losses.append(sum(jnp.mean(kind) for kind in kinds if len(kind)))
            metrics[f"image_words/{level}"] = jnp.mean(jnp.exp(entropy(bag)))
            metrics[f"batch_words/{level}"] = jnp.exp(entropy(jnp.mean(bag, axis=0)))
        return sum(losses) / len(levels), after, metrics

    return Objective(init, apply)


def _inside(outputs, level: str) -> jax.Array:
    """A level's first map without its border, [B, h, w, C], in float32 or better."""
    found = named(outputs.target, level, "target")
    seen = jnp.asarray(found[0] if isinstance(found, tuple) else found)[0]
    if seen.ndim != 4 or min(seen.shape[1:3]) < NEAR + 2 * BORDER:
        raise ValueError(
            f"target[{level!r}] has shape {(1, *seen.shape)}, expected maps [1, B, H, W, C] of at least "
            "5 x 5 places; choose larger images or an earlier level"
        )
    seen = jax.lax.stop_gradient(seen[:, BORDER:-BORDER, BORDER:-BORDER])
    return seen.astype(jnp.promote_types(seen.dtype, jnp.float32))


def _bag(dictionary: Mapping[str, jax.Array], seen, inverse_delta, decay):
    """The bags of a batch [B, W], with a sharpness that follows the running mean of the distance to the
    nearest word.
    """
    distances = word_distances(seen.reshape(len(seen), -1, seen.shape[-1]), dictionary["queue"])
    nearest = jnp.mean(jnp.min(distances, axis=-1))
    mean = decay * dictionary["distance"] + (1 - decay) * nearest
    return bag_of_words(distances, sharpness=inverse_delta / mean), {"distance": mean}


def _grown(dictionary: Mapping[str, jax.Array], seen, luck) -> dict[str, jax.Array]:
    """The dictionary in which one place of each image, averaged with its neighbours, is a new word."""
    window = (1, NEAR, NEAR, 1)
    averaged = jax.lax.reduce_window(seen, 0.0, jax.lax.add, window, (1, 1, 1, 1), "VALID") / NEAR**2
    places = averaged.reshape(len(averaged), -1, averaged.shape[-1])
    chosen = jnp.floor(luck * places.shape[1]).astype(jnp.int32)
    words = jnp.take_along_axis(places, chosen[:, None, None], axis=1)[:, 0]
    queue, pointer = enqueue(dictionary["queue"], dictionary["pointer"], words)
    return {"queue": queue, "pointer": pointer}
