"""How many heads there are where no config says it."""

import pytest

from jssl.weights.engine import File
from jssl.weights.tables.timm import _heads as timm_heads
from tests.weights.test_siblings import case, loaded

HEADS = {
    ("vit_giantopt_patch16_siglip_256", 1536): 16,
    ("test_vit", 64): 2,
    ("vit_base_patch16_224", 768): 12,
}


@pytest.mark.parametrize("name, dim", HEADS)
def test_heads_are_as_many_as_timm_builds(name, dim):
    assert timm_heads(File({"architecture": name}, {}), dim) == HEADS[name, dim]
    assert timm_heads(File({"architecture": name, "num_heads": 8}, {}), dim) == 8


def test_heads_are_told_by_the_periods(tmp_path):
    state, config = case("dinov3")
    del config["num_heads"]
    assert loaded(tmp_path, state, config).encoder.heads == 4
