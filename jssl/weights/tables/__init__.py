"""The published families, each a table of names and layouts, with sizes, preprocessing and exceptions."""

from jssl.weights.tables import audio, beit, dino, hub, masked, momentum, resnet, swin, timm, towers, video

FAMILIES = {
    family.name: family
    for module in (dino, masked, momentum, beit, timm, hub, towers, swin, resnet, video, audio)
    for family in module.FAMILIES
}
