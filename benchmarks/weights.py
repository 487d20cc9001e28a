"""How long published models of full size take to load, and how much memory: random tensors under their names.

    python -m benchmarks.weights          # ViT-B/16, DINOv2's ViT-L/14 with registers, CLIP's ViT-B/32

Each file is written by one process and loaded by another, whose peak is counted from after the imports. The
bound: 20 s on two cores, and 1.2 times file and parameters together.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

SECONDS, SHARE = 20, 1.2


def vit_b16(folder: Path) -> None:
    """A ViT-B/16 as timm publishes it."""
    _write(folder, "timm_vit", patch=16, dim=768, depth=12, heads=12)


def dinov2_vitl14_reg(folder: Path) -> None:
    """DINOv2's ViT-L/14 with registers, of 518 pixels."""
    _write(folder, "dinov2", side=518, patch=14, dim=1024, depth=24, heads=16, registers=4, layer_scale=1.0)


def clip_vit_b32(folder: Path) -> None:
    """OpenAI's CLIP ViT-B/32 as the hub has it, made of the family's own table."""
    import jax
    import numpy as np

    from jssl.weights.archive import Tensor, write_safetensors
    from jssl.weights.engine import File, expected, place, shapes
    from jssl.weights.tables import FAMILIES

    text = dict(hidden_size=512, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=8)
    text |= dict(vocab_size=49408, max_position_embeddings=77, hidden_act="quick_gelu", eos_token_id=2)
    vision = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    vision |= dict(patch_size=32, image_size=224, hidden_act="quick_gelu")
    config = dict(model_type="clip", projection_dim=512, text_config=text, vision_config=vision)
    known = {  # the table derives the other tensors from these
        "vision_model.embeddings.patch_embedding.weight": (768, 3, 32, 32),
        "vision_model.embeddings.position_embedding.weight": (50, 768),
        "vision_model.embeddings.class_embedding": (768,),
        "vision_model.pre_layrnorm.weight": (768,),
        "text_model.embeddings.token_embedding.weight": (49408, 512),
        "text_model.embeddings.position_embedding.weight": (77, 512),
        "visual_projection.weight": (512, 768),
        "text_projection.weight": (512, 512),
        "logit_scale": (),
    }
    for tower, (dim, depth) in {"vision_model": (768, 12), "text_model": (512, 12)}.items():
        for i in range(depth):
            at = f"{tower}.encoder.layers.{i}"
            for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"):
                known |= {f"{at}.{name}.weight": (dim, dim), f"{at}.{name}.bias": (dim,)}
            known |= {f"{at}.mlp.fc1.weight": (4 * dim, dim), f"{at}.mlp.fc1.bias": (4 * dim,)}
            known |= {f"{at}.mlp.fc2.weight": (dim, 4 * dim), f"{at}.mlp.fc2.bias": (dim,)}
            for norm in ("layer_norm1", "layer_norm2"):
                known |= {f"{at}.{norm}.{leaf}": (dim,) for leaf in ("weight", "bias")}
    zeros = partial(np.zeros, dtype=np.float32)
    tensors = {
        name: Tensor(shape, np.dtype(np.float32), partial(zeros, shape)) for name, shape in known.items()
    }
    family = FAMILIES["hf_clip"]
    file = File(config, tensors)
    at = next(iter(family.prefixes(file).values()))
    nets = dict(family.build(file.below(at)))
    wanted = {}
    for net in nets.values():
        for entry in place(net, shapes(net), family.name):
            wanted |= expected(entry)
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    arrays = {name: rng.standard_normal(shape, np.float32) for name, shape in wanted.items()}
    write_safetensors(folder / "model.safetensors", arrays, {})
    jax.clear_caches()


CASES = {"vit_b16": vit_b16, "dinov2_vitl14_reg": dinov2_vitl14_reg, "clip_vit_b32": clip_vit_b32}


def _write(folder: Path, family: str, *, side: int = 224, **sizes) -> None:
    import jax
    import numpy as np

    from jssl import weights
    from jssl.models import ViT

    module, rng = ViT(**sizes), np.random.default_rng(0)
    shapes = jax.eval_shape(module.init, jax.random.key(0), np.zeros((1, side, side, 3), np.float32))
    variables = jax.tree.map(lambda x: rng.standard_normal(x.shape, np.float32), shapes)
    pixels = weights.Preprocess(side, side)
    weights.save(weights.Loaded(module, variables, preprocess=pixels), folder, family=family)


def peak() -> float:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def load(folder: Path) -> dict[str, float]:
    """Loads one folder: seconds, bytes of file and parameters, and the peak beyond what was there before."""
    import jax

    from jssl import weights

    jax.block_until_ready(jax.numpy.zeros(1))
    before, started = peak(), time.perf_counter()
    loaded = weights.load(folder)
    networks = [loaded.variables, *(variables for _, variables in loaded.heads.values())]
    jax.block_until_ready(networks)
    seconds = time.perf_counter() - started
    parameters = sum(x.nbytes for x in jax.tree.leaves(networks))
    file = (folder / "model.safetensors").stat().st_size
    return dict(seconds=seconds, file=file, parameters=parameters, peak=peak() - before)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.write:
        CASES[chosen.write[0]](Path(chosen.write[1]))
    elif chosen.load:
        print(json.dumps(load(Path(chosen.load))))
    else:
        print("model               seconds   file MB  parameters MB   peak MB   peak / (file + parameters)")
        for name in chosen.only:
            with tempfile.TemporaryDirectory() as place:
                folder, ask = str(Path(place) / name), [sys.executable, "-m", "benchmarks.weights"]
                subprocess.run([*ask, "--write", name, folder], check=True, env=os.environ)
                said = subprocess.run([*ask, "--load", folder], check=True, stdout=subprocess.PIPE, text=True)
            row = json.loads(said.stdout)
            share = row["peak"] / (row["file"] + row["parameters"])
            sizes = [row[key] / 2**20 for key in ("file", "parameters", "peak")]
            kept = "" if share <= SHARE and row["seconds"] <= SECONDS else "  beyond the bound"
            print(
                "{:<18}{:>9.1f}{:>10.0f}{:>15.0f}{:>10.0f}{:>12.2f}".format(
                    name, row["seconds"], *sizes, share
                )
                + kept
            )


if __name__ == "__main__":
    main()
