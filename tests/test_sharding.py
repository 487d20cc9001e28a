"""Meshes: the same numbers on one device, on many, and in two processes."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from jssl import run, siamese, stateless
from jssl.data import views
from jssl.methods import mae, moco_v2, simclr
from jssl.models import ResNet, ViT, mae_decoder, moco_head, simclr_head
from jssl.models.encoders.resnet import BasicBlock, cifar_stem
from jssl.run import Interrupted
from jssl.sharding import (
    _of_many,
    check_alike,
    join_processes,
    make_mesh,
    on_one_device,
    over_batch,
    replicated,
    state_sharding,
)
from jssl.train import init_state, make_step, train_step
from tests.flags import devices
from tests.methods import toys
from tests.run import tiny
from tests.run.outcome import rows

MESHES = {name: ["data=4,fsdp=2"] for name in ("moco_v2", "mae")} | {"simclr": ["data=8", "data=4,fsdp=2"]}


@pytest.mark.parametrize(
    "spec, shape",
    [("data=8", (8, 1)), ("data=4,fsdp=2", (4, 2)), ("fsdp=8", (1, 8)), ("data=2", (2, 1)), (None, (8, 1))],
)
def test_a_mesh_of_words(spec, shape):
    mesh = make_mesh(spec)
    assert mesh.axis_names == ("data", "fsdp") and mesh.devices.shape == shape


@pytest.mark.parametrize("spec", ["data", "data=x", "model=2", "data=0", "data=4;fsdp=2", "data=-1"])
def test_other_words_are_refused(spec):
    with pytest.raises(ValueError, match="--mesh"):
        make_mesh(spec)


def test_more_devices_than_there_are():
    with pytest.raises(ValueError, match="needs 16 devices, there are 8"):
        make_mesh("data=16")


def test_the_rule_spreads_large_arrays_along_their_longest_axis():
    mesh = make_mesh("data=4,fsdp=2")
    shapes = {"wide": (64, 512), "small": (4, 4), "odd": (129, 257), "odd_long": (130, 257), "key": ()}
    state = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
    specs = {name: place.spec for name, place in state_sharding(mesh, state).items()}
    assert specs["wide"] == PartitionSpec(None, "fsdp") and specs["odd_long"] == PartitionSpec("fsdp")
    assert specs["small"] == specs["odd"] == specs["key"] == PartitionSpec()


def resnet():
    return ResNet((1, 1), BasicBlock, widths=(8, 16), stem_width=8, stem=cifar_stem)


def vit():
    return ViT(patch=4, dim=16, depth=2, heads=2)


METHODS = {
    "simclr": lambda: simclr(resnet(), head=simclr_head(8, hidden=16)),
    "moco_v2": lambda: moco_v2(vit(), head=moco_head(8, hidden=16), queue=32, momentum=0.9, groups=4),
    "mae": lambda: mae(vit(), decoder=mae_decoder(4, dim=16, depth=1, heads=2)),
}


COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: COMPILED.append(event) if event.endswith("backend_compile_duration") else None
)


def trajectory(name, spec, *, steps=3):
    """Losses and final parameters of a few steps on a mesh, with everything that can be spread spread. Views
    are noise: tests/data/test_views.py asks the papers' own for the same on eight devices.
    """
    method, optimizer, mesh = METHODS[name](), optax.adamw(1e-3), make_mesh(spec)
    view_maker = toys.noisy(1 if name == "mae" else 2)
    batch = jax.device_put(toys.batch(size=16), over_batch(mesh))
    init = partial(init_state, method, optimizer, view_maker, key=jax.random.key(0))
    places = state_sharding(mesh, jax.eval_shape(init, batch), smallest=1)
    state = jax.jit(init, out_shardings=places)(batch)
    step = train_step(method, optimizer, view_maker)
    compiled = jax.jit(step, donate_argnums=0, out_shardings=(places, replicated(mesh)))
    losses, compilations = [], []
    for _ in range(steps):
        before = len(COMPILED)
        state, metrics = compiled(state, batch)
        compilations.append(len(COMPILED) - before)
        losses.append(float(metrics["loss"]))
    assert compilations == [1, *[0] * (steps - 1)]
    if mesh.shape["fsdp"] > 1:
        parts = [
            not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves((state.params, state.opt_state))
        ]
        assert np.mean(parts) > 0.5
    return np.array(losses), jax.device_get(state.params)


def test_parts_of_a_batch_keep_all_devices_busy():
    def views(key, batch):
        return {"global": batch["image"][None]}

    def operations(spec):  # of one device, in one part
        mesh, batch = make_mesh(spec), {"image": np.ones((64, 4, 4, 3), np.float32)}
        method = siamese(toys.Mlp(), stateless(lambda outputs: outputs.student["cls"].mean()))
        state = init_state(method, optax.sgd(0.1), views, batch, key=jax.random.key(0))
        step = jax.jit(train_step(method, optax.sgd(0.1), views, accumulate=4))
        on_mesh = jax.device_put(state, replicated(mesh)), jax.device_put(batch, over_batch(mesh))
        return step.lower(*on_mesh).compile().cost_analysis()["flops"]

    assert operations("data=8") < operations("data=1") / 4


@pytest.mark.parametrize("name", METHODS)
def test_one_device_is_eight_is_four_times_two(name):
    losses, params = trajectory(name, "data=1")
    for spec in MESHES[name]:
        other, others = trajectory(name, spec)
        np.testing.assert_allclose(other, losses, rtol=1e-5)
        for path, (a, b) in zip(
            jax.tree_util.tree_leaves_with_path(params),
            zip(jax.tree.leaves(params), jax.tree.leaves(others), strict=True),
            strict=True,
        ):
            np.testing.assert_allclose(
                a, b, atol=2e-3 if "key" in str(path[0]) else 1e-4, err_msg=str(path[0])
            )


@pytest.mark.parametrize("name", METHODS)
def test_a_device_does_its_share_of_the_work(name):
    """Nothing is computed twice: eight devices with eight times the images do each what one does."""
    method, optimizer = METHODS[name](), optax.adamw(1e-3)
    view_maker, work = {"mae": views.mae}.get(name, views.simclr)(size=8), {}
    for count in (1, 8):
        mesh = make_mesh(f"data={count}")
        kinds = {"image": ((4 * count, 8, 8, 3), jnp.uint8), "index": ((4 * count,), jnp.int32)}
        batch = {name: jax.ShapeDtypeStruct(*kind, sharding=over_batch(mesh)) for name, kind in kinds.items()}
        state = jax.eval_shape(
            partial(init_state, method, optimizer, view_maker, key=jax.random.key(0)), batch
        )
        places = (replicated(mesh), over_batch(mesh))
        step = jax.jit(
            train_step(method, optimizer, view_maker), in_shardings=places, out_shardings=places[0]
        )
        work[count] = step.lower(state, batch).compile().cost_analysis()["flops"]
    assert work[8] < 1.5 * work[1]  # the loss alone compares with the images of all


def test_make_step_takes_what_is_placed():
    batch = jax.device_put(toys.batch(), over_batch(make_mesh("data=8")))
    method, optimizer, view_maker = simclr(toys.Mlp(), head=toys.Mlp()), optax.sgd(0.1), toys.noisy(2)
    state = init_state(method, optimizer, view_maker, batch, key=jax.random.key(0))
    state, metrics = make_step(method, optimizer, view_maker)(state, batch)
    assert np.isfinite(float(metrics["loss"]))


def test_on_one_device_gives_whole_arrays():
    mesh = make_mesh("data=4,fsdp=2")
    x = jax.device_put(np.arange(16.0).reshape(2, 8), state_sharding(mesh, jnp.zeros((2, 8)), smallest=1))
    y = on_one_device({"x": x})["x"]
    assert len(y.sharding.device_set) == 1 and np.array_equal(y, x)
    assert on_one_device({"y": y})["y"] is y


def close(a, b, tolerance):
    assert [row["step"] for row in a] == [row["step"] for row in b]
    for one, other in zip(a, b, strict=True):
        for name in ("loss", "learning_rate"):
            if name in one:
                np.testing.assert_allclose(
                    one[name], other[name], rtol=tolerance, err_msg=f"{name} at {one['step']}"
                )


SETTINGS = dict(data="bare", log_every=1, checkpoint_every=4, steps=8)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(tiny.Tiny, out=str(tmp_path_factory.mktemp("runs") / "alone"), mesh="data=1", **SETTINGS)


@pytest.mark.parametrize("first, second", [("data=1", "data=8"), ("data=4,fsdp=2", "data=1")])
def test_a_run_goes_on_on_another_mesh(alone, tmp_path, monkeypatch, first, second):
    monkeypatch.setattr("jssl.run.interrupt.Interrupts.requested", lambda self, step: step == 5)
    with pytest.raises(Interrupted):
        run(tiny.Tiny, out=str(tmp_path / "run"), mesh=first, **SETTINGS)
    monkeypatch.undo()
    resumed = run(tiny.Tiny, out=str(tmp_path / "run"), mesh=second, **SETTINGS)
    close(rows(tmp_path / "run"), rows(alone.directory), 1e-5)
    for a, b in zip(jax.tree.leaves(resumed.state.params), jax.tree.leaves(alone.state.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_batch_that_does_not_spread_is_refused(tmp_path, monkeypatch):
    given: list[str] = []  # what several processes compare first
    monkeypatch.setattr("jssl.run.plan.check_alike", given.append)
    with pytest.raises(ValueError, match="batch of 12 does not spread over 8 devices"):
        run(tiny.Tiny, out=str(tmp_path / "run"), batch=12, mesh="data=8")
    assert '"batch": 12' in given[0] and '"mesh": "data=8"' in given[0] and str(tmp_path) not in given[0]


def test_processes_that_were_given_different_things_are_refused(monkeypatch):
    check_alike("of one process, all is well")
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    gathered = "jax.experimental.multihost_utils.process_allgather"
    monkeypatch.setattr(gathered, lambda mark: np.array([mark, mark, mark]))
    check_alike("the same")
    monkeypatch.setattr(gathered, lambda mark: np.array([mark, mark + 1, mark + 2]))
    with pytest.raises(ValueError, match="processes 1, 2 were given other settings or other data"):
        check_alike("the same")


def two_processes(*arguments) -> list[subprocess.Popen]:
    """The tiny experiment in two processes of four devices each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "XLA_FLAGS": devices(4), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.run.tiny", "--data", "bare", *arguments]
    return [
        subprocess.Popen(
            [*command, "--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process", str(process)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]


def test_two_processes_are_one_run(alone, tmp_path):
    out = tmp_path / "run"
    both = two_processes("--out", str(out), "--steps", "8", "--log-every", "1", "--checkpoint-every", "4")
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said[0][1] + said[1][1]
    assert (
        "data=8" in said[0][0] and "report" in said[0][0] and "report" not in said[1][0]
    )  # process 0 speaks
    close(rows(tmp_path / "run"), rows(alone.directory), 1e-5)
    resumed = run(
        tiny.Tiny, out=str(tmp_path / "run"), mesh="data=1", **SETTINGS
    )  # on another number of them
    for a, b in zip(jax.tree.leaves(resumed.state.params), jax.tree.leaves(alone.state.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["experiment"] == "tiny"


def test_a_signal_to_one_of_two_processes_stops_both_at_the_same_step(tmp_path):
    out = tmp_path / "run"
    both = two_processes(
        "--out", str(out), "--steps", "1000000", "--log-every", "10", "--checkpoint-every", "1000000"
    )
    try:
        deadline = time.monotonic() + 200
        while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").read_text():
            assert time.monotonic() < deadline and all(process.poll() is None for process in both)
            time.sleep(0.05)
        both[1].send_signal(signal.SIGINT)
        said = [process.communicate(timeout=100) for process in both]
    finally:
        for process in both:
            process.kill()
    last = [words.strip().splitlines()[-1].partition(";")[0] for words, _ in said]
    assert [process.returncode for process in both] == [0, 0], said[0][1] + said[1][1]
    assert last[0] == last[1] and last[0].startswith("interrupted at step ") and last[0].endswith(", saved")
    stopped = last[0].split()[3].rstrip(",")
    assert [path.name for path in (out / "checkpoints").iterdir()] == [stopped]


def test_processes_are_joined_only_where_asked_for():
    assert not _of_many({}) and not _of_many({"SLURM_NTASKS": "1", "TPU_WORKER_HOSTNAMES": "localhost"})
    assert _of_many({"SLURM_NTASKS": "4"}) and _of_many({"TPU_WORKER_HOSTNAMES": "10.0.0.1,10.0.0.2"})
    with pytest.raises(ValueError, match="belong together"):
        join_processes("localhost:1234")


@pytest.mark.parametrize(
    "hosts, many",
    [("10.0.0.1,10.0.0.2", True), ("a:0:10.0.0.1,b:1:10.0.0.2", True), ("10.0.0.1", False), (None, False)],
)
def test_a_tpu_machine_asks_for_the_other_hosts_of_its_pod(hosts, many, monkeypatch):
    def answer(asked, timeout):
        if hosts is None:
            raise OSError("no metadata server")
        assert asked.get_header("Metadata-flavor") == "Google"
        return io.BytesIO(hosts.encode())

    monkeypatch.setattr("jssl.sharding.find_spec", lambda name: name)
    monkeypatch.setattr("urllib.request.urlopen", answer)
    assert _of_many({}) is many and not _of_many({"TPU_SKIP_MDS_QUERY": "1"})


def test_processes_that_are_not_joined_or_have_no_devices_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="one of 2 processes .* nobody has joined"):
        make_mesh()
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    assert make_mesh("data=4,fsdp=2").size == 8
    with pytest.raises(ValueError, match="--mesh has 2 of the 8 devices of 2 processes"):
        make_mesh("data=2")
