"""The wheel, installed by itself and used from another directory than the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jssl.experiments import REGISTRY

import jssl
from tests.flags import QUICK

ROOT = Path(__file__).parent.parent
OPTIONAL = (
    *("grain", "matplotlib", "PIL", "safetensors", "sklearn", "simplejpeg"),
    *("tensorboardX", "tensorflow_datasets", "tqdm", "tyro"),
)
INSTALL = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder of packages that holds the wheel's contents alone."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("jssl", "experiments"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [
        *INSTALL,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(work),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = work.glob("*.whl")
    target = [*INSTALL, "install", "--no-deps", "--no-index", "--target", str(work / "site"), str(wheel)]
    subprocess.run(target, check=True, capture_output=True)
    return work / "site"


def python(site, cwd, *arguments):
    """Runs Python with the wheel in front of what is installed, on one device."""
    environment = os.environ | {"PYTHONPATH": str(site), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": QUICK}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_module(installed):
    def modules(folder):
        return {path.relative_to(folder) for path in folder.rglob("*.py")}

    systems = modules(ROOT / "experiments")
    assert modules(installed / "jssl") == modules(ROOT / "jssl") | {
        Path("experiments") / path for path in systems
    }
    assert (installed / "jssl" / "py.typed").exists()
    assert (installed / f"jssl-{jssl.__version__}.dist-info").is_dir()


def test_with_everything_installed_it_trains_and_exports(installed, tmp_path):
    some = jssl.load("digits", split="test")  # a few, so that it takes seconds
    few, more = slice(200), slice(200, 260)
    np.savez(
        tmp_path / "few.npz",
        **dict(images=some.images[few], labels=some.labels[few]),
        **dict(test_images=some.images[more], test_labels=some.labels[more]),
    )
    smaller = dict(steps=3, batch=16, encoder="resnet10x0.125_cifar", data="npz:few.npz")
    flags = [str(word) for name, value in smaller.items() for word in (f"--{name}", value)]
    listed = python(installed, tmp_path, installed / "bin" / "jssl", "list")
    assert all(name in listed for name in REGISTRY)
    python(installed, tmp_path, "-m", "jssl", "train", "simclr", "--demo", *flags, "--out", "first")
    code = f"""
import jssl, pathlib, numpy as np
assert pathlib.Path(jssl.__file__).is_relative_to({str(installed)!r})
import jssl.run.plan as p
assert p.__name__ == "jssl.run.plan"
demo = jssl.experiments.simclr.demo
assert isinstance(demo, jssl.experiments.SimCLR)
result = jssl.run(demo, **{smaller!r}, out="first")  # goes on where the command ended
assert int(result.state.step) == 3 and "learned" in result.table
saved = jssl.open_run("first")
images = jssl.load("npz:few.npz").images[:4]
from jssl.run.weights.export import export
export("first", "encoder.safetensors")
variables = jssl.weights.load("encoder.safetensors").variables
again = saved.encoder.apply(variables, saved.preprocessing(images)).cls
assert np.allclose(again, saved.features(images), rtol=1e-3, atol=1e-4)
"""
    python(installed, tmp_path, "-c", code)
    assert (tmp_path / "first" / "report.html").exists()


def test_alone_it_composes_and_says_what_is_missing(installed, tmp_path):
    code = f"""
import sys
sys.modules.update(dict.fromkeys({OPTIONAL!r}))
import jax, optax, jssl, numpy as np
import flax.linen as nn

class Model(nn.Module):
    @nn.compact
    def __call__(self, images):
        return nn.Dense(4)(images.reshape(len(images), -1))

contrast = jssl.stateless(lambda outputs: jssl.objectives.nt_xent(*outputs.student["cls"], temperature=0.2))
method, optimizer, views = jssl.siamese(Model(), contrast), optax.adam(1e-3), jssl.views.simclr(size=8)
source = jssl.data.from_arrays(np.random.default_rng(0).random((4, 8, 8, 3)))
batch = {{"image": source.images, "index": jax.numpy.arange(4)}}
state = jssl.init_state(method, optimizer, views, batch, key=jax.random.key(0))
state, metrics = jssl.make_step(method, optimizer, views)(state, batch)
assert np.isfinite(metrics["loss"])

from jssl.command import main
main(["list"])
attempts = dict(
    run=lambda: jssl.run(
        jssl.experiments.SimCLR(), data=source, batch=4, steps=1, encoder="resnet10x0.125_cifar", out="run"
    ),
    digits=lambda: jssl.load("digits"),
)
for name, attempt in attempts.items():
    try:
        attempt()
    except ImportError as error:
        print(name, error)
try:
    main(["train", "simclr", "--demo"])
except SystemExit as end:
    print("train", end.code)
"""
    said = python(installed, tmp_path, "-c", code)
    assert "simclr" in said and "train 2" in said
    for name in ("run", "digits"):
        (line,) = [line for line in said.splitlines() if line.startswith(f"{name} ")]
        assert line.endswith('is not installed; `pip install "jssl[experiments]"` brings it')
    assert not (tmp_path / "run").exists()


def test_a_checkout_that_is_not_installed_has_the_experiments_too(tmp_path):
    code = "import jssl, experiments; print(jssl.experiments.Dino.__module__, jssl.experiments.__file__)"
    said = python(ROOT, tmp_path, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}")
    assert said.split() == ["jssl.experiments.dino", str(ROOT / "experiments" / "__init__.py")]
