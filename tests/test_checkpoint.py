"""Checkpoints: what comes back is what was written, or nothing does."""

import random
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl.arrays.fingerprints import PART, fingerprint, marks_on_device
from jssl.checkpoint import Checkpoints, first_difference
from jssl.train import TrainState


def a_state(step=0, width=5):
    params = {
        "dense": {
            "kernel": jnp.arange(4.0 * width).reshape(4, width) + step,
            "bias": jnp.ones(3, jnp.bfloat16),
        }
    }
    memory = {"statistics": {}, "objective": {"queue": jnp.ones((4, 2)), "full": jnp.array([True, False])}}
    opt_state = optax.adamw(1e-3).init(params)
    return TrainState(jnp.int32(step), params, None, memory, opt_state, jax.random.key(3))


def same(a, b):
    def raw(leaf):
        return np.asarray(
            jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        )

    assert jax.tree.structure(a) == jax.tree.structure(b)
    return all(np.array_equal(raw(x), raw(y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


@pytest.fixture
def checkpoints(tmp_path):
    made = Checkpoints(tmp_path / "checkpoints", config={"temperature": 0.1})
    yield made
    made.close()


def filled(checkpoints, steps, metrics=lambda step: None):
    for step in steps:
        checkpoints.save(step, a_state(step), metrics(step))
    checkpoints.wait()
    return checkpoints


def files(checkpoints, step):
    return sorted(path for path in Path(str(checkpoints.directory), str(step)).rglob("*") if path.is_file())


def test_a_state_comes_back_whole(checkpoints):
    filled(checkpoints, [7])
    restored = checkpoints.restore(jax.eval_shape(a_state))
    assert same(restored, a_state(7))
    assert restored.step == 7 and restored.teacher is None


def test_nothing_to_restore(checkpoints):
    assert checkpoints.restore(a_state()) is None


def test_saving_survives_donation(checkpoints):
    @jax.jit
    def touch(x):
        return x + 1

    step = jax.jit(lambda state: jax.tree.map(touch, state), donate_argnums=0)
    state = {"x": jnp.zeros((1000, 1000))}
    for i in range(3):
        checkpoints.save(i, state)
        state = step(step(state))
    checkpoints.wait()
    restored = checkpoints.restore({"x": jnp.zeros((1000, 1000))})
    assert float(restored["x"][0, 0]) == 4.0 and float(jnp.ptp(restored["x"])) == 0.0


def test_the_newest_and_the_best_are_kept(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "c", keep=2, best="knn_top1")
    filled(
        checkpoints,
        range(6),
        lambda step: {"knn_top1": 0.9 if step == 1 else 0.1 * step} if step != 3 else None,
    )
    assert checkpoints.steps == [1, 4, 5]
    # process 0 asks alone, and Orbax waits for all processes whenever it restores
    monkeypatch.setattr(checkpoints._checkpointer, "restore", lambda *_, **__: pytest.fail("waits for all"))
    assert checkpoints.metrics(1) == {"knn_top1": 0.9}
    checkpoints.close()


@pytest.mark.parametrize("harm", ["truncated", "flipped", "missing"])
def test_a_damaged_newest_checkpoint_falls_back_with_a_warning_that_names_both(checkpoints, harm):
    filled(checkpoints, [3, 6])
    largest = max(
        Path(str(checkpoints.directory), "6", "arrays", "d").iterdir(), key=lambda path: path.stat().st_size
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "missing":
        largest.unlink()
    else:
        largest.write_bytes(bytes(content[: len(content) // 2] if harm == "truncated" else content))
    with pytest.warns(UserWarning, match="checkpoint 6 .* is damaged; using checkpoint 3"):
        restored = checkpoints.restore(a_state())
    assert same(restored, a_state(3))
    assert checkpoints.steps == [3]
    filled(checkpoints, [6])  # and can be written again
    assert same(checkpoints.restore(a_state()), a_state(6))


def test_all_processes_save_and_restore_what_the_first_one_sees(checkpoints, monkeypatch):
    filled(checkpoints, [3, 6])
    told = iter([1, np.array([3]), 2, np.array([3, 9])])  # how many checkpoints process 0 sees, and which
    monkeypatch.setattr("jssl.checkpoint.of_first_process", lambda numbers: next(told))
    assert same(checkpoints.restore(a_state()), a_state(3))
    checkpoints.save(9, a_state(9))  # a network disk does not show it here yet
    checkpoints.wait()
    assert checkpoints.steps == [3, 6] and next(told, None) is None


def test_a_step_damaged_twice_is_set_aside_twice(checkpoints):
    for again in ("damaged_6", "damaged_6_2", "damaged_6_3"):
        filled(checkpoints, [3, 6])
        (checkpoints.directory / "6" / "arrays" / "manifest.ocdbt").write_bytes(b"")
        with pytest.warns(UserWarning, match="checkpoint 6 .* is damaged; using checkpoint 3"):
            assert same(checkpoints.restore(a_state()), a_state(3))
        assert (checkpoints.directory / again).is_dir() and checkpoints.steps == [3]


def test_damage_anywhere_never_gives_a_wrong_state(checkpoints):
    filled(checkpoints, [3, 6])
    rng = random.Random(0)
    for path in files(checkpoints, 6):
        whole = path.read_bytes()
        harmed = bytearray(whole)
        if not harmed:
            continue
        harmed[rng.randrange(len(harmed))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(harmed))
        again = Checkpoints(checkpoints.directory, config=checkpoints.config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            restored = again.restore(a_state())
        assert same(restored, a_state(int(restored.step)))
        again.close()
        aside = checkpoints.directory / "damaged_6"
        if aside.exists():
            aside.rename(checkpoints.directory / "6")
        path.write_bytes(whole)


def test_all_damaged_is_an_error(checkpoints):
    filled(checkpoints, [3])
    (checkpoints.directory / "3" / "arrays" / "manifest.ocdbt").write_bytes(b"")
    with pytest.raises(ValueError, match="all checkpoints .* are damaged"):
        checkpoints.restore(a_state())


def test_another_configuration_is_refused(checkpoints):
    filled(checkpoints, [3])
    other = Checkpoints(checkpoints.directory, config={"temperature": 0.2})
    with pytest.raises(ValueError, match="another configuration: temperature is 0.1 there, 0.2 here"):
        other.restore(a_state())
    other.close()


def test_another_structure_is_refused(checkpoints):
    filled(checkpoints, [3])
    with pytest.raises(
        ValueError, match=r"params.dense.kernel is float32\[4, 5\] there, float32\[4, 6\] here"
    ):
        checkpoints.restore(a_state(width=6))


def test_a_save_that_fails_is_a_warning_and_leaves_the_earlier_one(checkpoints, monkeypatch):
    filled(checkpoints, [3])

    def full(*args, **kwargs):
        raise OSError("[Errno 28] No space left on device")

    monkeypatch.setattr(checkpoints._checkpointer, "save", full)
    with pytest.warns(
        UserWarning, match="checkpoint 6 could not be saved .*No space left.* last good one is 3"
    ):
        checkpoints.save(6, a_state(6))
    assert same(checkpoints.restore(a_state()), a_state(3))


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.bool_])
def test_a_fingerprint_of_many_parts_is_that_of_the_device(dtype):
    x = (np.random.default_rng(0).normal(size=(3, PART - 5)) * 100).astype(dtype)
    assert int(fingerprint([x])[0]) == int(marks_on_device([jnp.asarray(x)])[0])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int8, jnp.bool_, jnp.uint32])
def test_every_bit_counts_in_the_fingerprint(dtype):
    x = jnp.ones((3, 5)).astype(dtype)
    raw = np.array(x)
    seen = {int(fingerprint([x])[0])}
    bits = 1 if dtype == jnp.bool_ else 8 * raw.itemsize
    for place in range(raw.size):
        for bit in range(bits):
            harmed = bytearray(raw.tobytes())
            harmed[place * raw.itemsize + bit // 8] ^= 1 << bit % 8
            seen.add(
                int(fingerprint([jnp.asarray(np.frombuffer(bytes(harmed), raw.dtype).reshape(raw.shape))])[0])
            )
            if place > 1 and bit > 9:
                break
    assert len(seen) > 1
    assert int(fingerprint([x])[0]) == int(fingerprint([jnp.array(x)])[0]) == int(marks_on_device([x])[0])


def test_first_difference():
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 1}}) is None
    assert first_difference({"a": {"b": 1}}, {"a": {}}) == "a.b is 1 there, absent here"
    assert first_difference({"a": 1}, {"a": {"b": 2}}) == "a is 1 there, present here"


def test_reading_a_run_moves_and_makes_nothing(tmp_path):
    from jssl.weights.directory import newest_state

    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no checkpoint yet"):
        newest_state(tmp_path / "none")
    assert not list((tmp_path / "none").iterdir())
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", config={})
    for step in (1, 2):
        checkpoints.save(step, {"a": jnp.full(3, float(step))})
    checkpoints.close()
    for file in (tmp_path / "run" / "checkpoints" / "2" / "arrays").rglob("*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="checkpoint 2 .* is damaged"):
        assert newest_state(tmp_path / "run")["a"].tolist() == [1.0, 1.0, 1.0]
    assert {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()} == {"1", "2"}
