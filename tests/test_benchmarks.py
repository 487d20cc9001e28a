"""The benchmarks for accelerators stay in step with the library: every case is built, the smallest are
run.
"""

import doctest
import importlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import jssl
from benchmarks import cifar, compiled, gpu, gradients, parity, survival, timing, torch_systems
from jssl.run.command import parse
from jssl.run.settings.systems import module_of

CASES = {name: build for cases in gpu.GROUPS.values() for name, build in cases.items() if build is not None}


def lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("path", sorted(Path(gpu.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_finds_what_it_imports(path):
    importlib.import_module(f"benchmarks.{path.stem}")


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_built_for_its_shapes(name):
    case = CASES[name](gpu.TINY)
    assert case.images % gpu.TINY.batch(128) == 0
    assert all(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(case.shapes))


def test_a_case_is_measured_and_a_broken_one_says_so(capsys, monkeypatch):
    names = ["nt_xent_32768_rows_blocks", "mae_vit_b16_256_xla"]

    def broken(sizes):
        raise RuntimeError("cuDNN is not there")

    monkeypatch.setitem(gpu.GROUPS["variants"], names[1], broken)
    gpu.measure_group("others", names[:1], gpu.TINY, ends=np.inf)
    gpu.measure_group("variants", names[1:], gpu.TINY, ends=np.inf)
    done, broken = lines(capsys)
    assert done["case"] == names[0] and done["images_per_s"] > 0 and done["matrix_tflop"] > 0
    assert done["memory_gib"] >= done["temporary_gib"] >= 0
    assert broken["case"] == names[1] and "cuDNN" in broken["error"]


def test_without_time_nothing_is_compiled(capsys):
    gpu.measure_group("others", ["nt_xent_32768_rows_dense"], gpu.TINY, ends=-np.inf)
    assert "no time left" in lines(capsys)[0]["error"]


def test_the_work_of_products_loops_and_convolutions_is_counted():
    assert doctest.testmod(timing).failed == 0
    x = np.ones((2, 8, 8, 3), np.float32)
    kernel = np.ones((3, 3, 3, 5), np.float32)
    names = ("NHWC", "HWIO", "NHWC")

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=names)

    def thrice(x, y):
        return jax.lax.scan(lambda x, _: (x @ y, None), x, None, length=3)[0]

    assert timing.matrix_flops(jax.make_jaxpr(convolve)(x, kernel).jaxpr) == 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)
    square = np.ones((4, 4), np.float32)
    assert timing.matrix_flops(jax.make_jaxpr(thrice)(square, square).jaxpr) == 3 * 2 * 4**3


@pytest.mark.parametrize("name", cifar.METHODS)
def test_every_method_of_the_cifar_table_is_built(name):
    parts = cifar.METHODS[name](jssl.encoder("resnet10x0.25_cifar"), 40)
    batch = {"image": np.zeros((8, 32, 32, 3), np.uint8), "index": np.arange(8)}

    def init(key):
        return jssl.init_state(parts.method, parts.optimizer(40), parts.views, batch, key=key)

    state = jax.eval_shape(init, jax.random.key(0))
    assert len(jax.tree.leaves(state.params)) > 10


def test_cifar_trains_and_evaluates(tmp_path, capsys):
    rng = np.random.default_rng(0)
    arrays = {f"{split}_images": rng.integers(0, 256, (32, 32, 32, 3), np.uint8) for split in cifar.SPLITS}
    arrays |= {f"{split}_labels": rng.integers(0, 10, 32).astype(np.uint8) for split in cifar.SPLITS}
    np.savez(tmp_path / "some.npz", **arrays)
    settings = "--epochs 1 --batch 8 --limit 16 --k 5 --encoder resnet10x0.25_cifar --dtype float32"
    cifar.main(["--data", str(tmp_path / "some.npz"), *settings.split()])
    about, epoch = lines(capsys)
    assert about["images"] == 16 and about["steps"] == 2
    assert epoch["epoch"] == 1 and 0 <= epoch["knn_top1"] <= 100 and np.isfinite(epoch["loss"])


def test_packed_files_are_read_in_order(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    files = []
    for number, array in enumerate(images):
        image.fromarray(array).save(tmp_path / f"{number}.png")
        files.append((tmp_path / f"{number}.png").read_bytes())
    arrays = {}
    for split in cifar.SPLITS:
        arrays[f"{split}_jpeg"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{split}_ends"] = np.cumsum([len(file) for file in files])
        arrays[f"{split}_labels"] = np.arange(3, dtype=np.uint8)
    np.savez(tmp_path / "packed.npz", **arrays)
    found = cifar.unpack(tmp_path / "packed.npz", limit=2)
    np.testing.assert_array_equal(found["train"][0], images[:2])
    np.testing.assert_array_equal(found["test"][1], [0, 1])


def test_an_unknown_method_is_refused(capsys):
    with pytest.raises(SystemExit):
        cifar.main(["--data", "x.npz", "--methods", "simclr,simclir"])
    assert "unknown simclir; there are simclr" in capsys.readouterr().err


@pytest.mark.parametrize("name", survival.CASES)
def test_what_is_killed_is_started_by_settings_that_there_are(name):
    arguments = [*survival.TINY, *survival.OFTEN, *survival.CASES[name]]
    settings, options = parse(module_of(name).demo, arguments, command=["jssl", "train", name])
    assert settings.steps == 200 and options.checkpoint_every == 10


def test_the_gradient_on_a_cpu_is_timed(monkeypatch):
    monkeypatch.setattr(gradients, "CASES", {"small": (4, [(2, 12), (3, 8)])})
    monkeypatch.setattr(gradients, "DEPTH", 1)
    found = gradients.timed("jssl", "small")
    assert len(found["seconds"]) == gradients.STEPS and np.isfinite(found["loss"]) and found["loss"] != 0


@pytest.mark.parametrize("rivals", [parity, gradients])
def test_a_benchmark_says_in_one_line_that_torch_is_missing(rivals, monkeypatch, capsys):
    monkeypatch.setattr(torch_systems, "torch", None)
    assert rivals.main([]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "pip install torch" in said.err


@pytest.mark.parametrize("name", parity.SYSTEMS)
def test_both_sides_of_parity_are_given_the_same_views(name):
    system = parity.SYSTEMS[name]()
    first, again = parity.batch_of(system, 3), parity.batch_of(system, 3)
    assert set(first) == {*system.sides, "index"}
    for part in first:
        np.testing.assert_array_equal(first[part], again[part])


@pytest.mark.parametrize("name", compiled.CASES)
def test_every_part_of_a_step_can_be_compiled(name):
    if "cudnn" in name:
        pytest.importorskip("jax_cuda13_plugin", reason="tracing cuDNN's attention needs JAX's CUDA plugin")
    function, shapes = compiled.CASES[name]()
    jax.eval_shape(function, *shapes)


PROGRAM = """
%body (state: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %state = (s32[], f32[4,8]{1,0}) parameter(0)
  %number = s32[] get-tuple-element(%state), index=0
  %x = f32[4,8]{1,0} get-tuple-element(%state), index=1
  %twice = f32[4,8]{1,0} fusion(%x), kind=kLoop, calls=%double
  ROOT %next = (s32[], f32[4,8]{1,0}) tuple(%number, %twice)
}

ENTRY %main (x: bf16[4,8]) -> f32[4,8] {
  %x.1 = bf16[4,8]{1,0} parameter(0)
  %made = (s32[], f32[4,8]{1,0}) fusion(%x.1), kind=kLoop, calls=%start
  %loop = (s32[], f32[4,8]{1,0}) while(%made), body=%body, backend_config={"known_trip_count":{"n":"5"}}
  ROOT %result = f32[4,8]{1,0} get-tuple-element(%loop), index=1
}
"""


def test_kernels_of_a_compiled_program_are_counted_with_their_loops():
    found = {kernel.name: kernel for kernel in compiled.kernels(PROGRAM)}
    assert {name: kernel.times for name, kernel in found.items()} == {"made": 1, "twice": 5}
    assert found["made"].moved == 64 + 4 + 128 and found["twice"].moved == 5 * 2 * 128
    with pytest.raises(ValueError, match="unknown number of times"):
        compiled.kernels(PROGRAM.replace("known_trip_count", "other"))
