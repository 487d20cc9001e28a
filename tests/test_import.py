"""`import jssl` is light: without the optional packages, and without starting a device."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

HEAVY = (
    "grain",
    "tensorflow_datasets",
    "tyro",
    "matplotlib",
    "sklearn",
    "PIL",
    "orbax",
    "tqdm",
    "tensorboardX",
    "torch",
)


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_imports_nothing_optional():
    assert python(f"import jssl, sys; print([m for m in {HEAVY} if m in sys.modules])").strip() == "[]"


def test_works_where_the_optional_packages_are_missing():
    block = f"import sys; sys.modules.update(dict.fromkeys({HEAVY}))\n"
    assert python(block + "import jssl; print(jssl.encoder('vit_s16').dim)").strip() == "384"


def test_what_is_required_is_imported():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    required = {re.match(r"[a-z]+", name)[0] for name in project["dependencies"]}  # orbax-checkpoint is orbax
    code = "\n".join(path.read_text() for path in (root / "jssl").rglob("*.py"))
    assert required == {name for name in required if re.search(rf"^ *(import|from) {name}\b", code, re.M)}
    assert {"jax", "flax", "optax", "orbax", "numpy"} <= required


def test_costs_under_two_seconds_beyond_jax_and_flax():
    before = "import jax, flax.linen, optax, time; t = time.process_time(); "
    assert float(python(before + "import jssl; print(time.process_time() - t)")) < 2.0


def test_starts_no_device():
    code = "import jssl; from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    assert python(code).strip() == "False"
