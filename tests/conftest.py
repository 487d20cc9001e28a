"""Eight devices on any machine, groups of tests, and one store of compiled programs for all processes of a
session.
"""

import os
import tempfile
from pathlib import Path

import pytest

# Compiling costs more than running here: nothing is optimised.
FLAGS = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}".strip()

import jax  # noqa: E402  (it reads the environment)

TESTS = Path(__file__).parent
SLOW = (  # files and folders that `make check` leaves to `make test`
    "test_laws.py",
    "test_sharding.py",
    "test_experiments.py",
    "methods",
    "objectives/test_device_count.py",
    "objectives/test_large_batches.py",
    "run",
)
STORE = "JSSL_TEST_PROGRAMS"  # xdist's workers inherit it from the process that starts them


def pytest_configure(config):
    if STORE not in os.environ:
        config.programs = tempfile.TemporaryDirectory(prefix="jssl-programs-")
        os.environ[STORE] = config.programs.name
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", os.environ[STORE])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def pytest_unconfigure(config):
    if hasattr(config, "programs"):
        config.programs.cleanup()
        os.environ.pop(STORE)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
        if any(item.path.is_relative_to(TESTS / name) for name in SLOW):
            item.add_marker(pytest.mark.slow)
