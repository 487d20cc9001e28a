"""The notebooks: their cells run, one after another, on tiny data; and they are stored without results."""

import json
from pathlib import Path

import numpy as np
import pytest

from jssl.data import from_arrays
from jssl.data.sources import scenes

pytest.importorskip("IPython")
ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TINY = dict(batch=8, steps=2)
SMALL = dict(dim=8, hidden=16)
VIT = dict(size=16, encoder="vit_n8", scan=True)  # one block is compiled in place of four


def few():
    """32 small scenes without labels, so that nothing is probed."""
    return from_arrays(scenes.scenes(count=32, side=16).images, name="scenes")


CHANGED = {  # what the first cell of each says, in miniature
    "01_compose_objectives": dict(STEPS=2, BATCH=16),
    "02_pretrain_on_your_images": dict(COUNT=24, CHANGES=TINY | SMALL | VIT),
    "03_start_from_published_weights": dict(
        WEIGHTS=str(ROOT / "tests/weights/cases/hf_dinov2_registers"),
        SIZE=28,
        CHANGES=TINY
        | dict(hidden=16, bottleneck=8, prototypes=8, locals=1)
        | dict(patch_hidden=16, patch_bottleneck=8, patch_prototypes=8),
    ),
    "04_look_inside": dict(CHANGES=TINY | dict(size=16, scan=True)),
    "05_many_devices": dict(
        MESHES=("data=1", "data=4,fsdp=2"),
        CHANGES=TINY | SMALL | VIT | dict(log_every=1),
    ),
}


def cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_results_and_installs_in_one_cell(path):
    first, *rest = cells(path)
    assert (
        "".join(first["source"]).startswith("%pip install")
        and len("".join(first["source"]).splitlines()) == 1
    )
    assert not any(cell["outputs"] or cell["execution_count"] for cell in (first, *rest))
    assert not any("".join(cell["source"]).startswith(("%", "!")) for cell in rest)
    assert 4 <= len(rest) + 1 <= 10 and max(len(cell["source"]) for cell in rest) <= 20


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_cells_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope, changed = {"__name__": "__main__"}, CHANGED[path.stem]
    if path.stem[:2] in ("04", "05"):
        changed = changed | {"CHANGES": changed["CHANGES"] | {"data": few()}}
    for number, cell in enumerate(cells(path)[1:]):
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), scope)
        scope.update({name: value for name, value in changed.items() if name in scope})
    if "result" in scope:
        assert repr(scope["result"]).startswith("Run(runs/") and int(scope["result"].state.step) == 2
        shown = scope["result"]._repr_html_()
        assert shown.startswith("<iframe") and "data:image/png;base64" in shown and shown.count("<") == 2
    if "features" in scope:
        assert np.isfinite(np.asarray(getattr(scope["features"], "cls", scope["features"]))).all()


def test_every_notebook_is_run():
    assert [path.stem for path in NOTEBOOKS] == list(CHANGED)
