"""Published state dicts as our parameters: names and layouts, nothing else."""

import math

import numpy as np

State = dict[str, np.ndarray]


def under(state: State, prefix: str) -> State:
    """The entries below a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def dense(state: State, name: str) -> dict:
    """torch keeps [out, in]."""
    layer = under(state, name + ".")
    return {"kernel": layer["weight"].T} | ({"bias": layer["bias"]} if "bias" in layer else {})


def norm(state: State, name: str) -> dict:
    return {"scale": state[f"{name}.weight"], "bias": state[f"{name}.bias"]}


def batch_norm(state: State, name: str) -> tuple[dict, dict]:
    layer = under(state, name + ".")
    params = {"scale": layer["weight"], "bias": layer["bias"]} if "weight" in layer else {}
    return params, {"mean": layer["running_mean"], "var": layer["running_var"]}


def patches(state: State, name: str) -> dict:
    """A convolution [D, C, P, P] of stride P as a matrix over (row, column, channel)."""
    weight = state[f"{name}.weight"]
    kernel = weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])
    return {
        "proj": {"kernel": kernel, "bias": state.get(f"{name}.bias", np.zeros(weight.shape[0], np.float32))}
    }


def positions(table: np.ndarray, prefix: int) -> dict:
    """[1, prefix + N, D] of a square grid."""
    table = table.reshape(-1, table.shape[-1])
    side = math.isqrt(len(table) - prefix)
    out = {"table": table[prefix:].reshape(side, side, -1)}
    return out | {"prefix": table[:prefix]} if prefix else out


def block(state: State) -> dict:
    """timm's names of a block."""
    out = {name: norm(state, name) for name in ("norm1", "norm2")}
    out["attn"] = {name: dense(state, f"attn.{name}") for name in ("qkv", "proj")}
    layers = [name for name in ("fc1", "fc2", "w12", "w3") if f"mlp.{name}.weight" in state]
    out["mlp"] = {name: dense(state, f"mlp.{name}") for name in layers}
    scales = {f"scale{i}": state[f"ls{i}.gamma"] for i in (1, 2) if f"ls{i}.gamma" in state}
    return out | scales


def blocks(state: State, name: str = "blocks") -> dict:
    count = 1 + max(int(key.split(".")[1]) for key in state if key.startswith(name + "."))
    return {f"block_{i}": block(under(state, f"{name}.{i}.")) for i in range(count)}


def vit(state: State) -> dict:
    """DINO, iBOT, DINOv2, MAE, MoCo v3, I-JEPA and timm: one naming with small additions."""
    classes = int("cls_token" in state)
    side = math.isqrt(state["pos_embed"].shape[1])
    square = side * side == state["pos_embed"].shape[1]  # no entry for the class token
    out = {
        "stem": patches(state, "patch_embed.proj"),
        "positions": positions(state["pos_embed"], 0 if square else classes),
        "blocks": blocks(state),
        "norm": norm(state, "norm" if "norm.weight" in state else "fc_norm"),
    }
    if classes:
        out["class_token"] = state["cls_token"][0]
        if square:
            out["positions"]["prefix"] = np.zeros_like(state["cls_token"][0])
    for name in ("register_tokens", "reg_token"):
        if name in state:
            out["registers"] = state[name][0]
    for name in ("mask_token", "masked_embed"):
        if name in state and "decoder_embed.weight" not in state:  # there it is the decoder's
            out["mask_token"] = state[name].reshape(-1)
    return out


def mae_decoder(state: State) -> dict:
    return {
        "embed": dense(state, "decoder_embed"),
        "mask_token": state["mask_token"].reshape(-1),
        "positions": positions(state["decoder_pos_embed"], 1),
        "blocks": blocks(state, "decoder_blocks"),
        "norm": norm(state, "decoder_norm"),
        "predict": dense(state, "decoder_pred"),
    }


def resnet(state: State) -> dict:
    """torchvision's names: {"params", "batch_stats"}."""
    params, stats = {}, {}
    names = {"downsample.0": "downsample_conv", "downsample.1": "downsample_bn"}
    for key in state:
        module, kind = key.rsplit(".", 1)
        if kind != "weight" or module == "fc":
            continue
        stage, _, rest = module.partition(".")
        index, _, layer = rest.partition(".")
        path = (f"{stage}_{index}", names.get(layer, layer)) if rest else (stage,)
        trees = [params, stats]
        for tree, value in zip(trees, _convolution_or_norm(state, module), strict=True):
            for step in path[:-1]:
                tree = tree.setdefault(step, {})
            if value:
                tree[path[-1]] = value
    return {"params": params, "batch_stats": stats}


def _convolution_or_norm(state: State, module: str) -> tuple[dict, dict]:
    if state[f"{module}.weight"].ndim == 4:
        return {"kernel": state[f"{module}.weight"].transpose(2, 3, 1, 0)}, {}
    return batch_norm(state, module)


def swin(state: State) -> dict:
    """Microsoft's names; the index buffers are not needed."""
    out = {"stem": patches(state, "patch_embed.proj"), "norm_stem": norm(state, "patch_embed.norm")}
    out |= {"norm": norm(state, "norm"), "mask_token": state["mask_token"].reshape(-1)}
    for key in state:
        if key.endswith("norm1.weight"):
            _, stage, _, i, _ = key.split(".", 4)
            layer = under(state, f"layers.{stage}.blocks.{i}.")
            table = {"relative_bias": layer["attn.relative_position_bias_table"]}
            out[f"stage{stage}_{i}"] = block(layer) | table
        if key.endswith("downsample.reduction.weight"):
            stage = int(key.split(".")[1])
            merge = under(state, f"layers.{stage}.downsample.")
            out[f"merge{stage + 1}"] = {"norm": norm(merge, "norm"), "reduction": dense(merge, "reduction")}
    return out


def shuffled_pixels(state: State, side: int) -> dict:
    """A 1x1 convolution before PixelShuffle, its outputs from (channel, row, column) to (row, column,
    channel).
    """
    order = np.arange(len(state["0.bias"])).reshape(-1, side, side).transpose(1, 2, 0).reshape(-1)
    weight = state["0.weight"][:, :, 0, 0]
    return {"layers_0": {"kernel": weight[order].T, "bias": state["0.bias"][order]}}
