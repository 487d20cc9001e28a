"""The published families, a table each: names, layouts, which fields the sizes set, preprocessing, quirks."""

from jssl.weights.tables import audio, beit, dino, hub, masked, momentum, resnet, swin, timm, towers, video

FAMILIES = {
    family.name: family
    for module in (dino, masked, momentum, beit, timm, hub, towers, swin, resnet, video, audio)
    for family in module.FAMILIES
}
