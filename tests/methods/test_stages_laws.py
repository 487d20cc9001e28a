"""SimCLR v2's stages: a head that is cut, labels from its middle, a student of a network that is frozen."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jssl.experiments import SimCLR, SimCLRV2

from jssl import methods, models
from jssl.methods.labels import class_logits, classifier
from jssl.models import cut, linear_head, simclr_head
from jssl.models.freezing import frozen
from jssl.models.network import network
from tests.faithful.quoted import built
from tests.methods import toys

KEY, CLASSES = jax.random.key(0), 3
HEAD = simclr_head(4, hidden=8, layers=3)


def views_of(batch):
    return {"global": batch["image"][None], "index": batch["index"], "label": batch["index"] % CLASSES}


def views(key, batch):
    return views_of(batch)


def widths_of_the_head(method):
    params, _ = jax.eval_shape(method.init, KEY, toys.noisy(2)(KEY, toys.batch()))
    return [layer["kernel"].shape[1] for _, layer in sorted(params["cls"].items()) if "kernel" in layer]


def test_simclr_v2s_head_has_a_middle_and_simclrs_has_none():
    small = dict(encoder="resnet10x0.125_cifar")
    first = methods.simclr(toys.Mlp()), built(SimCLR(**small)).method
    second = methods.simclr_v2(toys.Mlp()), built(SimCLRV2(**small)).method
    assert [widths_of_the_head(method) for method in first] == [[2048, 128]] * 2
    assert [widths_of_the_head(method) for method in second] == [[2048, 2048, 128]] * 2


def test_a_cut_head_and_the_rest_are_the_whole_head():
    x, statistics = jax.random.normal(KEY, (5, 6)), {}
    variables = HEAD.init(KEY, x)
    _, statistics = HEAD.apply(variables, x, train=True, mutable=["batch_stats"])  # not mean 0, deviation 1
    variables = {"params": variables["params"], **statistics}
    rest = models.Head(HEAD.layers[3:])
    later = {
        kind: {f"layers_{int(name[7:]) - 3}": part for name, part in parts.items() if int(name[7:]) >= 3}
        for kind, parts in variables.items()
    }
    first = {
        kind: {name: part for name, part in parts.items() if int(name[7:]) < 3}
        for kind, parts in variables.items()
    }
    middle = cut(HEAD, 3).apply(first, x)
    assert middle.shape == (5, 8) and float(middle.min()) >= 0
    np.testing.assert_allclose(rest.apply(later, middle), HEAD.apply(variables, x), rtol=1e-5)
    with pytest.raises(ValueError, match="keep must lie between 1 and the head's 8 layers, got 9"):
        cut(HEAD, 9)


def test_fine_tuning_from_the_middle_begins_at_the_logarithm_of_the_classes():
    layers = dict(head=linear_head(CLASSES, deviation=0.0), between=cut(HEAD, 3))
    method, batch = methods.supervised(toys.Mlp(), CLASSES, **layers), toys.batch()
    states, metrics = toys.record(method, optax.sgd(0.5), views, [batch] * 4)
    assert float(metrics[0]["loss"]) == pytest.approx(np.log(CLASSES), rel=1e-6)
    assert float(metrics[-1]["loss"]) < float(metrics[0]["loss"])
    assert list(states[0].params["cls"]) == ["layers_0", "layers_1"]  # the head's own names
    state = states[-1]
    logits = class_logits(method, state.params, None, state.memory, batch["image"], **layers)
    net = classifier(toys.Mlp(), layers["head"], between=layers["between"])
    whole, _ = net.apply(state.params, state.memory["statistics"], batch["image"])
    np.testing.assert_allclose(logits, whole["logits"], rtol=1e-5)


def test_a_student_that_equals_its_teacher_has_no_gradient_and_one_of_labels_has():
    net, batch = classifier(toys.Mlp(), linear_head(CLASSES, deviation=1.0)), toys.batch()
    params, _ = net.init(KEY, batch["image"])
    taught = frozen(net, {"params": params, "encoder": {}, "logits": {}})
    slopes = {}
    for temperature in (1.0, 2.0):
        method = methods.distil(toys.Mlp(), taught, CLASSES, temperature=temperature)
        _, memory = method.init(KEY, views_of(batch))

        def loss(params, method=method, memory=memory):
            return method.loss(params, None, memory, views_of(batch), KEY, 0)[0]

        value, slopes["distil"] = jax.value_and_grad(loss)(params)
        p = jax.nn.softmax(
            net.apply(params, {"encoder": {}, "logits": {}}, batch["image"])[0]["logits"] / temperature
        )
        entropy = -(p * jnp.log(p)).sum(1).mean()
        assert float(value) == pytest.approx(float(temperature**2 * entropy), rel=1e-5)
        assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(slopes["distil"])) < 1e-5
    method = methods.supervised(toys.Mlp(), CLASSES)
    _, memory = method.init(KEY, views_of(batch))
    slopes = jax.grad(lambda params: method.loss(params, None, memory, views_of(batch), KEY, 0)[0])(params)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(slopes)) > 1e-2


def test_the_taught_network_stands_still_outside_of_the_optimizer():
    wide = classifier(toys.Mlp((32,)), linear_head(CLASSES, deviation=1.0))
    method = methods.distil(toys.Mlp(), frozen(wide, drawn=True), CLASSES)
    states, metrics = toys.record(method, optax.adam(0.01), views, [toys.batch()] * 4)
    held = [jax.tree.leaves(state.memory["statistics"]["taught"]) for state in states]
    assert all(np.array_equal(a, b) for a, b in zip(held[0], held[-1], strict=True))
    sizes = [
        sum(x.size for x in jax.tree.leaves(tree)) for tree in (states[0].params, states[0].opt_state[0].mu)
    ]
    assert sizes[0] == sizes[1] and float(metrics[-1]["loss"]) < float(metrics[0]["loss"])
    with pytest.raises(ValueError, match="would be trained too; give frozen"):
        methods.distil(toys.Mlp(), network(wide), CLASSES).init(KEY, views_of(toys.batch()))
