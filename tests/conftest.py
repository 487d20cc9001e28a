"""Eight devices on any machine, and groups of tests."""

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.flags import devices
from tests.programs import remember_programs
from tests.undrawn import one_pixel

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # nobody reads where programs come from
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="jssl-tests-")  # nothing from before counts
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {devices(8)}".strip()
remember_programs()

# Tracing makes millions of objects that stay; to look through them again and again costs much time.
gc.set_threshold(50_000, 20, 20)

TESTS = Path(__file__).parent
SLOW = """
    test_laws.py test_sharding.py test_experiments.py test_docs.py test_notebooks.py methods run
    faithful test_packaging.py test_step.py test_flops.py test_frozen.py
    test_benchmarks.py data/test_views.py data/test_augmentations.py data/test_scenes.py
    evaluate/test_logistic.py evaluate/test_linear.py evaluate/test_protocols.py evaluate/test_heads.py
    evaluate/test_few_labels.py evaluate/test_seeing.py evaluate/test_search.py
    models/test_attention.py models/test_zoo.py models/test_decoders.py models/test_convolution.py
    models/test_transformer.py models/test_norms.py models/test_reference.py
    objectives/test_variants.py objectives/test_remembering.py objectives/test_device_count.py
    objectives/test_large_batches.py objectives/test_objective_laws.py weights/test_families.py
""".split()  # files and folders that `make check` leaves to `make test`


TOGETHER = """
    run/test_run.py run/test_best.py run/test_nonfinite.py run/test_interrupt.py run/test_export.py
    run/test_own_data.py run/test_place.py data/test_splits.py
""".split()  # files whose runs compile the same programs, which `tests/programs.py` keeps


UNDRAWN = [
    *TOGETHER,
    *"run/test_start.py run/test_stages.py run/test_frozen_teacher.py run/test_evaluation.py".split(),
    *"test_sharding.py test_docs.py".split(),
]  # files with whole runs, of whose reports no test looks at the pictures; test_experiments.py draws them


@pytest.fixture(scope="module", autouse=True)
def undrawn(request):
    """Pictures of one pixel, in those files."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.as_posix().endswith(tuple(f"tests/{file}" for file in UNDRAWN)):
            patch.setattr("jssl.evaluate.figures.style._saved", one_pixel)
        yield


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """What a file's tests have compiled is of no use to the next one's, and would fill the memory."""
    yield
    import jax

    jax.clear_caches()


def group_of(test: str) -> str:
    """Names the tests that run in one process and share what they compile: a file's, those of the files that
    belong together, or a method's laws.
    """
    path, _, name = test.partition("::")
    if path.endswith(tuple(f"tests/{file}" for file in TOGETHER)):
        return "runs of the tiny experiment"
    return path + name[name.find("[") :] if path.endswith("test_laws.py") and "[" in name else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Deals tests out in groups. The marks of `--dist loadgroup` do nothing under pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return Groups(config, log)


def pytest_collection_modifyitems(items):
    for item in items:
        if any(item.path.is_relative_to(TESTS / name) for name in SLOW):
            item.add_marker(pytest.mark.slow)
