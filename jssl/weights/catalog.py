"""The checkpoints that people use most: name -> where its publisher keeps it, its family, its licence."""

from typing import NamedTuple

META = "https://dl.fbaipublicfiles.com/"
IBOT = "https://lf3-nlp-opensource.bytetos.com/obj/nlp-opensource/archive/2022/ibot/"


class Published(NamedTuple):
    """A published checkpoint.

    Args:
        at: A repository of the Hugging Face hub, or the URL of a file.
        family: As `weights.families` lists it.
        licence: Of the weights.
    """

    at: str
    family: str
    licence: str

    @property
    def is_file(self) -> bool:
        """Whether it is a single file at a URL."""
        return self.at.startswith("https://")

    @property
    def file(self) -> str:
        """The file's name, where it is a single file."""
        return self.at.rsplit("/", 1)[-1]


def _dinov2(size: str) -> dict[str, Published]:
    at, plain = f"{META}dinov2/dinov2_{size}/dinov2_{size}", "dinov2_swiglu" if size == "vitg14" else "dinov2"
    return {
        f"dinov2_{size}": Published(f"{at}_pretrain.pth", plain, "Apache-2.0"),
        f"dinov2_{size}_reg": Published(f"{at}_reg4_pretrain.pth", "dinov2_registers", "Apache-2.0"),
    }


def _hub(family: str, licence: str, *names: str) -> dict[str, Published]:
    return {name: Published(name, family, licence) for name in names}


def _files(family: str, licence: str, **paths: str) -> dict[str, Published]:
    return {name: Published(META + path, family, licence) for name, path in paths.items()}


APACHE, NON_COMMERCIAL, MIT, DINOV3 = "Apache-2.0", "CC-BY-NC-4.0", "MIT", "DINOv3 licence"
PUBLISHED: dict[str, Published] = {
    **_files(
        "dino_vit",
        APACHE,
        dino_vits16="dino/dino_deitsmall16_pretrain/dino_deitsmall16_pretrain.pth",
        dino_vits8="dino/dino_deitsmall8_pretrain/dino_deitsmall8_pretrain.pth",
        dino_vitb16="dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
        dino_vitb8="dino/dino_vitbase8_pretrain/dino_vitbase8_pretrain.pth",
    ),
    **_files(
        "resnet_torchvision", APACHE, dino_resnet50="dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth"
    ),
    **{
        f"ibot_{size}": Published(f"{IBOT}{folder}/checkpoint_teacher.pth", "ibot", APACHE)
        for size, folder in (("vits16", "vits_16"), ("vitb16", "vitb_16"), ("vitl16", "vitl_16"))
    },
    **_dinov2("vits14"),
    **_dinov2("vitb14"),
    **_dinov2("vitl14"),
    **_dinov2("vitg14"),
    **_hub(
        "hf_dinov2",
        APACHE,
        "facebook/dinov2-small",
        "facebook/dinov2-base",
        "facebook/dinov2-large",
        "facebook/dinov2-giant",
    ),
    **_hub(
        "hf_dinov2_registers",
        APACHE,
        "facebook/dinov2-with-registers-small",
        "facebook/dinov2-with-registers-base",
        "facebook/dinov2-with-registers-large",
    ),
    **_hub(
        "hf_dinov3_vit",
        DINOV3,
        "facebook/dinov3-vits16-pretrain-lvd1689m",
        "facebook/dinov3-vitb16-pretrain-lvd1689m",
        "facebook/dinov3-vitl16-pretrain-lvd1689m",
        "facebook/dinov3-vitl16-pretrain-sat493m",
    ),
    **_hub(
        "hf_dinov3_vit_gated",
        DINOV3,
        "facebook/dinov3-vits16plus-pretrain-lvd1689m",
        "facebook/dinov3-vith16plus-pretrain-lvd1689m",
    ),
    **_files(
        "mae",
        NON_COMMERCIAL,
        mae_vitb16="mae/pretrain/mae_pretrain_vit_base.pth",
        mae_vitl16="mae/pretrain/mae_pretrain_vit_large.pth",
        mae_vith14="mae/pretrain/mae_pretrain_vit_huge.pth",
    ),
    **_hub("hf_vit_mae", APACHE, "facebook/vit-mae-base", "facebook/vit-mae-large", "facebook/vit-mae-huge"),
    **_files(
        "moco_v3_vit",
        NON_COMMERCIAL,
        moco_v3_vits16="moco-v3/vit-s-300ep/vit-s-300ep.pth.tar",
        moco_v3_vitb16="moco-v3/vit-b-300ep/vit-b-300ep.pth.tar",
    ),
    **_files(
        "moco_resnet",
        NON_COMMERCIAL,
        moco_v2_resnet50="moco/moco_checkpoints/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar",
    ),
    **_files(
        "msn", NON_COMMERCIAL, msn_vits16="msn/vits16_800ep.pth.tar", msn_vitb16="msn/vitb16_600ep.pth.tar"
    ),
    **_hub("hf_vit_msn", APACHE, "facebook/vit-msn-small", "facebook/vit-msn-base", "facebook/vit-msn-large"),
    **_files("ijepa", NON_COMMERCIAL, ijepa_vith14="ijepa/IN1K-vit.h.14-300e.pth.tar"),
    **_hub("hf_ijepa", NON_COMMERCIAL, "facebook/ijepa_vith14_1k", "facebook/ijepa_vitg16_22k"),
    **_files("swav_resnet", NON_COMMERCIAL, swav_resnet50="deepcluster/swav_800ep_pretrain.pth.tar"),
    **_files("resnet_torchvision", MIT, barlow_twins_resnet50="barlowtwins/ljng/resnet50.pth"),
    **_files("resnet_torchvision", MIT, vicreg_resnet50="vicreg/resnet50.pth"),
    **_files(
        "simsiam_resnet",
        NON_COMMERCIAL,
        simsiam_resnet50="simsiam/models/100ep/pretrain/checkpoint_0099.pth.tar",
    ),
    **_hub(
        "hf_clip",
        MIT,
        "openai/clip-vit-base-patch32",
        "openai/clip-vit-base-patch16",
        "openai/clip-vit-large-patch14",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    ),
    **_hub(
        "hf_siglip",
        APACHE,
        "google/siglip-base-patch16-224",
        "google/siglip-large-patch16-256",
        "google/siglip-so400m-patch14-384",
    ),
    **_hub("hf_beit_mim", APACHE, "microsoft/beit-base-patch16-224-pt22k"),
    **_hub("hf_data2vec_vision", APACHE, "facebook/data2vec-vision-base"),
    **_hub("hf_swin_simmim", APACHE, "microsoft/swin-base-simmim-window6-192"),
    **_hub("hf_videomae", NON_COMMERCIAL, "MCG-NJU/videomae-base"),
    **_hub("hf_ast", "BSD-3-Clause", "MIT/ast-finetuned-audioset-10-10-0.4593"),
    **_hub(
        "timm_eva02", MIT, "timm/eva02_base_patch14_224.mim_in22k", "timm/eva02_large_patch14_224.mim_in22k"
    ),
    **_hub("timm_vit", APACHE, "timm/vit_small_patch16_224.dino", "timm/vit_base_patch16_224.dino"),
    **_hub(
        "timm_vit", APACHE, "timm/vit_small_patch14_dinov2.lvd142m", "timm/vit_base_patch14_dinov2.lvd142m"
    ),
    **_hub("timm_vit", NON_COMMERCIAL, "timm/vit_base_patch16_224.mae"),
    **_hub("timm_vit_registers", APACHE, "timm/vit_small_patch14_reg4_dinov2.lvd142m"),
}
