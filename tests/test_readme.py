"""What the README shows is run."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def blocks():
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_composing_example_runs_and_its_metrics_are_those_it_names():
    scope = {}
    exec(compile(blocks()[0], "README.md", "exec"), scope)
    assert set(scope["metrics"]) == {"loss", "gradient_norm", "contrast", "redundancy"}
    assert int(scope["state"].step) == 10


def test_the_table_of_systems_has_every_experiment():
    text = (ROOT / "README.md").read_text()
    for path in (ROOT / "experiments").glob("[a-z]*.py"):
        assert f"`{path.stem}`" in text, f"experiments/{path.name} has no row"
