"""Learning from labels: fine-tuning, distillation, clusters as labels, and contrast between classes."""

import jax
import jax.numpy as jnp
import optax

from jssl.methods.base import Method, Refresh
from jssl.methods.frames.distillation import distillation
from jssl.methods.frames.siamese import siamese
from jssl.methods.pairs import labelled
from jssl.models.headed import with_heads
from jssl.models.heads import linear_head, moco_head
from jssl.models.network import Network, network
from jssl.objectives import (
    cluster_labels,
    clustered_once,
    remembered_features,
    soft_cross_entropy,
    stateless,
    supervised_contrastive,
)


def supervised(encoder, classes: int, *, head=None, between=None, smoothing: float = 0.0) -> Method:
    """Predicts classes, by the cross-entropy with labels or with targets that views have mixed.

    Args:
        encoder: anything `network` takes; `frozen(...)` of it trains the head alone.
        classes: how many there are.
        head: [B, D] -> [B, classes], linear by default.
        between: layers between the encoder and the head, such as the first layers of a pretrained head
            (`cut`), with that head's name, `cls`; none by default.
        smoothing: share of the target that is distributed equally over all classes.
    Returns:
        A `Method`; views: one global one, and "label" [B], -1 for none, or "target" [B, classes]. Images
        without a label have no loss. The metric `accuracy` is that of the most probable class.
    References:
        MAE, arXiv:2111.06377; label smoothing, arXiv:1512.00567
    """

    def losses(outputs):
        seen, logits = outputs.views, outputs.student["logits"][0].astype(jnp.float32)
        if "target" in seen:
            target = seen["target"]
        elif "label" in seen:
            target = jax.nn.one_hot(seen["label"], classes)
        else:
            raise ValueError(
                f"supervised needs views['label'] or views['target']; the views have {sorted(seen)}"
            )
        known = target.sum(-1)
        right = known * (jnp.argmax(logits, -1) == jnp.argmax(target, -1))
        loss = known * optax.softmax_cross_entropy(logits, optax.smooth_labels(target, smoothing))
        weight = len(known) / jnp.maximum(known.sum(), 1.0)
        return weight * loss, {"accuracy": weight * right.mean()}

    return siamese(classifier(encoder, head or linear_head(classes), between=between), stateless(losses))


def classifier(encoder, head, *, between=None) -> Network:
    """Puts a classifier on an encoder.

    Args:
        encoder: anything `network` takes.
        head: [B, D] -> [B, classes].
        between: as for `supervised`.
    Returns:
        A `Network` with an output `logits`.
    """
    layers = {} if between is None else {"cls": between}
    return with_heads(encoder, **layers, logits=("cls", head))


def distil(encoder, taught, classes: int, *, head=None, temperature: float = 1.0) -> Method:
    """Predicts the class probabilities of a frozen classifier; the images' own labels are not used.

    Args:
        encoder: anything `network` takes, often smaller than the teacher.
        taught: a `frozen` network with an output `logits`, such as `frozen(classifier(...))`.
        classes: how many there are.
        head: [B, D] -> [B, classes], linear by default.
        temperature: of both softmaxes.
    Returns:
        A `Method`; views: one global one. The metric `agreement` is how often both predict the same class.
    References:
        SimCLR v2, arXiv:2006.10029
    """

    def losses(outputs):
        ours, theirs = (side["logits"][0] for side in (outputs.student, outputs.target))
        same = jnp.mean(jnp.argmax(ours, -1) == jnp.argmax(theirs, -1))
        return soft_cross_entropy(ours, theirs, temperature=temperature), {"agreement": same}

    return distillation(classifier(encoder, head or linear_head(classes)), taught, stateless(losses))


def cluster_transfer(
    encoder, taught, *, examples: int, clusters: int = 2000, dim: int = 128, head=None, iterations: int = 50
) -> Method:
    """Predicts the cluster of each image in a frozen network's features, which transfers what that network
    has learned, whatever its task was.

    All images are clustered once, after the first epoch; nothing is learned before.

    Args:
        encoder: anything `network` takes.
        taught: a `frozen` network; its inputs are images as the evaluation view makes them.
        examples: how many images the data has; each has a label by its index.
        clusters: how many.
        dim: width of the random projection by which features are stored.
        head: [B, D] -> [B, clusters], linear by default.
        iterations: of k-means.
    Returns:
        A `Method` with `refresh`; views: one global one, and "index" [B]. The metric `accuracy` is that of
        the clusters.
    References:
        arXiv:1805.00385
    """
    known = network(taught)

    def observe(params, teacher, memory, images, index):
        rows = known.features({}, memory["statistics"]["taught"], images).cls
        return memory | {"objective": remembered_features(memory["objective"], index, rows)}

    def clustered(key, memory):
        return memory | {
            "objective": clustered_once(key, memory["objective"], clusters, iterations=iterations)
        }

    model = classifier(encoder, head or linear_head(clusters))
    method = distillation(model, taught, cluster_labels("logits", examples=examples, dim=dim))
    return method._replace(refresh=Refresh(None, clustered, observe=observe))


def supcon(encoder, *, head=None, temperature: float = 0.1, base_temperature: float = 0.07) -> Method:
    """Contrasts views of a batch, with all views of the same class as positives.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP, linear, ReLU, linear by default.
        temperature: T.
        base_temperature: the loss is multiplied by T / base_temperature, as in the authors' code.
    Returns:
        A `Method`; views: two global ones, and "label" [B], -1 for none: the only positives of such an image
        are its own views.
    References:
        SupCon, arXiv:2004.11362
    """

    def loss(a, b, labels):
        return temperature / base_temperature * supervised_contrastive(a, b, labels, temperature=temperature)

    return siamese(with_heads(encoder, cls=head or moco_head()), labelled(loss))


def class_logits(method: Method, params, teacher, memory, images, *, head, between=None) -> jax.Array:
    """Computes the class logits of a trained network for images.

    Args:
        method: a method that `supervised` made.
        params, teacher, memory: those of the state.
        images: [B, H, W, C] as the evaluation view makes them.
        head, between: as given to `supervised`.
    Returns:
        [B, classes]
    """
    x, statistics = method.features(params, teacher, memory, images).cls, memory["statistics"]
    statistics = statistics.get("student", statistics)  # of `distil`
    for name, layers in (("cls", between), ("logits", head)):
        x = x if layers is None else network(layers).apply(params[name], statistics[name], x)[0]
    return x
