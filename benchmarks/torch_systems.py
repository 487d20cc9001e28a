"""SimCLR, BYOL, DINO and MAE in plain torch, written from their papers, for `benchmarks.parity`.

Networks are functions of nested dictionaries that have jssl's names and layouts, so that both begin with the
same weights. Images are [B, H, W, C]. The module can be imported without torch.
"""

import importlib
import importlib.util
import math

torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None


def leaves(tree, path=()):
    """The tensors of nested dictionaries with their paths."""
    for name, value in tree.items():
        yield from leaves(value, (*path, name)) if isinstance(value, dict) else [((*path, name), value)]


def copied(tree):
    return {
        name: copied(value) if isinstance(value, dict) else value.detach().clone()
        for name, value in tree.items()
    }


def is_weight(path, _tensor):
    """Whether a tensor is neither a bias nor a norm's scale."""
    return path[-1] not in ("bias", "scale")


# Layers


def linear(p, x):
    return x @ p["kernel"] + p["bias"] if "bias" in p else x @ p["kernel"]


def batch_norm(p, x):
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes, unbiased=False)
    return (x - mean) / torch.sqrt(variance + 1e-5) * p.get("scale", 1) + p.get("bias", 0)


def layer_norm(p, x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], p["scale"], p["bias"], eps=1e-6)


def conv(p, x, stride=1):
    kernel = p["kernel"].permute(3, 2, 0, 1)
    x = torch.nn.functional.conv2d(
        x.permute(0, 3, 1, 2), kernel, stride=stride, padding=kernel.shape[-1] // 2
    )
    return x.permute(0, 2, 3, 1)


def unit(x, axis=-1):
    return torch.nn.functional.normalize(x, dim=axis)


def resnet(p, x):
    """One basic block in each of four stages behind a stem for small images: [B, H, W, C] -> [B, D]."""
    x = torch.relu(batch_norm(p["bn1"], conv(p["conv1"], x)))
    for stage in range(1, 5):
        b, stride = p[f"layer{stage}_0"], 1 if stage == 1 else 2
        y = torch.relu(batch_norm(b["bn1"], conv(b["conv1"], x, stride)))
        y = batch_norm(b["bn2"], conv(b["conv2"], y))
        if "downsample_conv" in b:
            x = batch_norm(b["downsample_bn"], conv(b["downsample_conv"], x, stride))
        x = torch.relu(x + y)
    return x.mean((1, 2))


def block(p, x, heads):
    batch, length, dim = x.shape
    qkv = linear(p["attn"]["qkv"], layer_norm(p["norm1"], x)).reshape(batch, length, 3, heads, dim // heads)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    seen = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    x = x + linear(p["attn"]["proj"], seen.transpose(1, 2).reshape(batch, length, dim))
    hidden = torch.nn.functional.gelu(linear(p["mlp"]["fc1"], layer_norm(p["norm2"], x)))
    return x + linear(p["mlp"]["fc2"], hidden)


def blocks(p, x, heads):
    for i in range(len(p)):
        x = block(p[f"block_{i}"], x, heads)
    return x


def patches(images, side):
    """[B, H, W, C] -> [B, N, side * side * C], pixels by row, column and channel."""
    batch, height, width, channels = images.shape
    x = images.reshape(batch, height // side, side, width // side, side, channels).transpose(2, 3)
    return x.reshape(batch, -1, side * side * channels)


def sincos(side, dim):
    """[side * side, dim]: sine and cosine of columns, then of rows."""
    frequency = 10000.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    rows, columns = torch.meshgrid(*2 * [torch.arange(side, dtype=torch.float64)], indexing="ij")
    angles = [place.reshape(-1, 1) * frequency for place in (columns, rows)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], 1).float()


# Optimizers


class Lars:
    """Layer-wise adaptive rates; biases and norms have plain momentum."""

    def __init__(self, params, *, decay, inside, momentum=0.9, trust=1e-3):
        self.params, self.decay, self.inside, self.momentum, self.trust = (
            params,
            decay,
            inside,
            momentum,
            trust,
        )
        self.past = {path: torch.zeros_like(p) for path, p in leaves(params)}

    @torch.no_grad() if torch else lambda f: f
    def step(self, rate):
        for path, p in leaves(self.params):
            update = p.grad
            if is_weight(path, p):
                update = update + self.decay * p
                size, slope = p.norm(), update.norm()
                if size > 0 and slope > 0:
                    update = update * (self.trust * size / slope)
            past = self.past[path]
            past.mul_(self.momentum).add_(update * rate if self.inside else update)
            p.sub_(past if self.inside else rate * past)


def adamw(params, *, b2):
    groups = {True: [], False: []}
    for path, p in leaves(params):
        groups[is_weight(path, p)].append(p)
    return torch.optim.AdamW(
        [dict(params=groups[True]), dict(params=groups[False], weight_decay=0.0)], betas=(0.9, b2)
    )


def set_rate(optimizer, rate, decay):
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.param_groups[0]["weight_decay"] = decay


@torch.no_grad() if torch else lambda f: f
def follow(teacher, params, momentum):
    own = dict(leaves(params))
    for path, t in leaves(teacher):
        t.mul_(momentum).add_((1 - momentum) * own[path])


# Systems: step(views [V, B, H, W, C] by name, numbers of the step) -> loss


class SimClr:
    """Both directions of the cross entropy over all other views of the batch, arXiv:2002.05709."""

    def __init__(self, params, teacher, *, temperature, decay):
        self.params, self.temperature = params, temperature
        self.optimizer = Lars(params, decay=decay, inside=True)

    def step(self, views, *, rate, **_):
        count, batch = views["global"].shape[:2]
        h = resnet(self.params["encoder"], views["global"].flatten(0, 1))
        head = self.params["cls"]
        h = torch.relu(batch_norm(head["layers_1"], linear(head["layers_0"], h)))
        z = unit(batch_norm(head["layers_4"], linear(head["layers_3"], h)))
        logits = z @ z.T / self.temperature
        logits = logits.masked_fill(torch.eye(count * batch, dtype=torch.bool, device=z.device), -math.inf)
        other = torch.arange(count * batch, device=z.device).roll(batch)
        loss = 2 * torch.nn.functional.cross_entropy(logits, other)
        backward(self.params, loss)
        self.optimizer.step(rate)
        return loss


class Byol:
    """A prediction of the slow network's projection of the other view, arXiv:2006.07733."""

    def __init__(self, params, teacher, *, decay):
        self.params, self.teacher = params, teacher
        self.optimizer = Lars(params, decay=decay, inside=False)

    @staticmethod
    def head(p, x):
        return linear(p["layers_3"], torch.relu(batch_norm(p["layers_1"], linear(p["layers_0"], x))))

    def step(self, views, *, rate, momentum, **_):
        def project(p, x):
            return self.head(p["cls"], resnet(p["encoder"], x))

        first, second = views["global"]
        predictions = [self.head(self.params["prediction"], project(self.params, x)) for x in (first, second)]
        with torch.no_grad():
            targets = [project(self.teacher, x) for x in (second, first)]
        pairs = zip(predictions, targets, strict=True)
        loss = sum(((unit(p) - unit(t)) ** 2).sum(-1).mean() for p, t in pairs)
        backward(self.params, loss)
        self.optimizer.step(rate)
        follow(self.teacher, self.params, momentum)
        return loss


class Dino:
    """A centred, sharpened teacher's distribution is predicted from all other crops, arXiv:2104.14294."""

    def __init__(self, params, teacher, *, patch, heads, student_temperature, teacher_temperature, clip):
        self.params, self.teacher, self.patch, self.heads, self.clip = params, teacher, patch, heads, clip
        self.temperatures = student_temperature, teacher_temperature
        self.center, self.optimizer = 0.0, adamw(params, b2=0.999)

    def encode(self, p, x):
        side = x.shape[1] // self.patch
        table = p["positions"]["table"]
        if side != len(table):
            table = torch.nn.functional.interpolate(
                table.permute(2, 0, 1)[None], scale_factor=2 * ((side + 0.1) / len(table),), mode="bicubic"
            )[0].permute(1, 2, 0)
        x = linear(p["stem"]["proj"], patches(x, self.patch)) + table.reshape(-1, table.shape[-1])
        first = (p["class_token"] + p["positions"]["prefix"]).expand(len(x), 1, -1)
        x = blocks(p["blocks"], torch.cat([first, x], 1), self.heads)
        return layer_norm(p["norm"], x[:, 0])

    def logits(self, p, views):
        out = []
        for crop in views:
            x, head = self.encode(p["encoder"], crop), p["cls"]
            for name in ("layers_0", "layers_2"):
                x = torch.nn.functional.gelu(linear(head[name], x))
            x = unit(linear(head["layers_4"], x))
            out.append(x @ unit(head["layers_6"]["kernel"], 0))
        return out

    def step(self, views, *, rate, decay, momentum, **_):
        student = self.logits(self.params, [*views["global"], *views["local"]])
        with torch.no_grad():
            teacher = self.logits(self.teacher, views["global"])
        cold, sharp = self.temperatures
        losses = [
            -(torch.softmax((t - self.center) / sharp, -1) * torch.log_softmax(s / cold, -1)).sum(-1).mean()
            for i, t in enumerate(teacher)
            for j, s in enumerate(student)
            if i != j
        ]
        loss = sum(losses) / len(losses)
        backward(self.params, loss)
        self.center = 0.9 * self.center + 0.1 * torch.cat(teacher).mean(0)
        for _path, p in leaves(self.params):
            p.grad.mul_(min(1.0, self.clip / (float(p.grad.norm()) + 1e-6)))
        set_rate(self.optimizer, rate, decay)
        self.optimizer.step()
        follow(self.teacher, self.params, momentum)
        return loss


class Mae:
    """The normalised pixels of hidden patches, of which the encoder sees nothing, arXiv:2111.06377."""

    def __init__(self, params, teacher, *, patch, heads, decoder_heads):
        self.params, self.patch, self.heads, self.decoder_heads = params, patch, heads, decoder_heads
        self.optimizer = adamw(params, b2=0.95)

    def step(self, views, *, rate, decay, mask, **_):
        images, p, d = views["global"][0], self.params["encoder"], self.params["decoder"]
        pixels, side = patches(images, self.patch), images.shape[1] // self.patch
        batch, count = mask.shape
        visible = torch.argsort(mask.long(), dim=1, stable=True)[:, : int((~mask[0]).sum())]

        def at(x):
            return torch.gather(x, 1, visible[..., None].expand(-1, -1, x.shape[-1]))

        x = linear(p["stem"]["proj"], pixels)
        x = at(x + sincos(side, x.shape[-1]).to(x))
        x = torch.cat([p["class_token"].expand(batch, 1, -1), x], 1)
        x = layer_norm(p["norm"], blocks(p["blocks"], x, self.heads))
        x = linear(d["embed"], x)
        places = visible[..., None].expand(-1, -1, x.shape[-1])
        whole = d["mask_token"].expand(batch, count, -1).scatter(1, places, x[:, 1:])
        x = torch.cat([x[:, :1], whole + sincos(side, x.shape[-1]).to(x)], 1)
        x = layer_norm(d["norm"], blocks(d["blocks"], x, self.decoder_heads)[:, 1:])
        predicted = linear(d["predict"], x)
        mean, variance = pixels.mean(-1, keepdim=True), pixels.var(-1, keepdim=True)
        errors = ((predicted - (pixels - mean) / torch.sqrt(variance + 1e-6)) ** 2).mean(-1)
        loss = errors[mask].mean()
        backward(self.params, loss)
        set_rate(self.optimizer, rate, decay)
        self.optimizer.step()
        return loss


def backward(params, loss):
    for _, p in leaves(params):
        p.grad = None
    loss.backward()
