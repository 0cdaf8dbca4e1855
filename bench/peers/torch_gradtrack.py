"""The steps of GradTrack and GazeMedSeg, and GradTrack's ops, in PyTorch, made of its library functions, as the twin for the comparison of speed.

Images are (B,C,H,W). Tracks of different lengths are packed as (N,2) fixations and read through padded indices. Nothing
loops over images, fixations or pixels. Tensors are made on PyTorch's default device. METHOD n stands for section n of
docs/method.md."""

import torch
import torch.nn.functional as F
from torch import nn


# ---- Gaze: computed once per batch ----------------------------------------------------------------------------------


def padded(kept):
    """Padded indices of each level, from kept (L,B,2), the ranges of the packed fixations that it keeps.

    n is the length of the level's longest range. A level has the index (B,n) of each fixation, a mask (B,n) that is 0 for
    padding, and the start and end (B,max(1,n-1)) of each segment. The last fixation or segment is repeated as padding."""
    levels = []
    for ranges in kept.long():
        first, last = ranges[:, :1], ranges[:, 1:] - 1
        place = first + torch.arange(int((last - first).max()) + 1)
        index = torch.minimum(place, last)
        start = torch.minimum(place, (last - 1).clamp_min(first))[:, : max(1, place.shape[1] - 1)]
        levels.append((index, (place <= last).float(), start, torch.minimum(start + 1, last)))
    return levels


# ---- Gaze track maps (METHOD 3) -------------------------------------------------------------------------------------


def centres(n):
    return (torch.arange(n) + 0.5) / n


def splat_broadcast(xy, weight, sigma, height, width):
    """xy (B,n,2), weight (B,n), sigma (B,2) -> (B,H,W), by the direct formula over (B,n,H,W)."""
    z = (torch.stack([xy[..., 0], xy[..., 1]])).unsqueeze(-1)
    x = ((centres(width) - z[0]) / sigma[:, :1, None]).square().unsqueeze(2)
    y = ((centres(height) - z[1]) / sigma[:, 1:, None]).square().unsqueeze(3)
    return (weight[:, :, None, None] * torch.exp(-0.5 * (x + y))).sum(1)


def splat_separable(xy, weight, sigma, height, width):
    """xy (B,n,2), weight (B,n), sigma (B,2) -> (B,H,W), by a product of matrices: a Gaussian is a row times a column."""
    x = torch.exp(-0.5 * ((centres(width) - xy[..., :1]) / sigma[:, :1, None]).square())
    y = torch.exp(-0.5 * ((centres(height) - xy[..., 1:]) / sigma[:, 1:, None]).square())
    return torch.bmm((weight.unsqueeze(-1) * y).transpose(1, 2), x)


def track_distance(a, b, height, width):
    """The distance to the nearest segment a -> b, both (B,n,2), in image sides: (B,H,W)."""
    d = b - a
    length2 = d.square().sum(-1)
    inverse = torch.where(length2 > 0, 1 / length2.clamp_min(1e-30), 0.0)[:, :, None, None]
    a, d = a[..., None, None], d[..., None, None]
    rx = centres(width) - a[:, :, 0]
    ry = centres(height)[:, None] - a[:, :, 1]
    t = ((rx * d[:, :, 0] + ry * d[:, :, 1]) * inverse).clamp(0, 1)
    distance2 = (rx - t * d[:, :, 0]).square() + (ry - t * d[:, :, 1]).square()
    return distance2.min(1).values.sqrt()


def track_map(tracks, level, mix, height, width):
    index, there, start, end = tracks["padded"][level]
    xy = tracks["xy"]
    weight = tracks["weight"][level][index] * there
    s = splat_separable(xy[index], weight, tracks["sigma"][level], height, width)
    s = s / s.amax((1, 2), keepdim=True)
    d = track_distance(xy[start], xy[end], height, width)
    steepness = 0.5 / tracks["tau"][level][:, None, None] ** 2
    return mix * s + (1 - mix) * torch.exp(-steepness * d.square())


# ---- The network (METHOD 4, 5) --------------------------------------------------------------------------------------


def track_attention(features, w, b, m):
    """features (B,C,H,W), w (C), b (1), m (B,H,W) -> F (1 + A), BCE(A, m)."""
    a = F.conv2d(features, w[None, :, None, None], b)
    return features * (1 + torch.sigmoid(a)), F.binary_cross_entropy_with_logits(a[:, 0], m)


class TrackAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(channels)), nn.Parameter(torch.empty(1))

    def forward(self, features, m):
        return track_attention(features, self.weight, self.bias, m)


class Convolution(nn.Module):
    def __init__(self, inputs, outputs, groups, slope):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.adn = nn.ModuleDict({"N": nn.GroupNorm(groups, outputs)})
        self.slope = slope

    def forward(self, x):
        return F.leaky_relu(self.adn["N"](self.conv(x)), self.slope, inplace=True)


class TwoConv(nn.Sequential):
    def __init__(self, inputs, outputs, *options):
        super().__init__()
        self.conv_0 = Convolution(inputs, outputs, *options)
        self.conv_1 = Convolution(outputs, outputs, *options)


class Down(nn.Module):
    def __init__(self, inputs, outputs, *options):
        super().__init__()
        self.convs = TwoConv(inputs, outputs, *options)

    def forward(self, x):
        return self.convs(F.max_pool2d(x, 2))


class UpCat(nn.Module):
    def __init__(self, inputs, skip, up, outputs, *options):
        super().__init__()
        self.upsample = nn.ModuleDict({"deconv": nn.ConvTranspose2d(inputs, up, 2, stride=2)})
        self.convs = TwoConv(skip + up, outputs, *options)

    def forward(self, x, skip):
        return self.convs(torch.cat([skip, self.upsample["deconv"](x)], 1))


class UNet(nn.Module):
    """MONAI's BasicUNet, with GradTrack's parameter names."""

    def __init__(self, features, channels, outputs, options):
        super().__init__()
        f, o = features, (options["groups"], options["slope"])
        self.conv_0 = TwoConv(channels, f[0], *o)
        for i in range(1, 5):
            self.add_module(f"down_{i}", Down(f[i - 1], f[i], *o))
        self.upcat_4 = UpCat(f[4], f[3], f[4] // 2, f[3], *o)
        self.upcat_3 = UpCat(f[3], f[2], f[3] // 2, f[2], *o)
        self.upcat_2 = UpCat(f[2], f[1], f[2] // 2, f[1], *o)
        self.upcat_1 = UpCat(f[1], f[0], f[1], f[5], *o)
        self.final_conv = nn.Conv2d(f[5], outputs, 1)

    def forward(self, images, after_level=lambda level, features: features):
        """The outputs (B,outputs,H,W). after_level(level, features) replaces the features of each decoder level."""
        skips = [self.conv_0(images)]
        for i in range(1, 5):
            skips.append(getattr(self, f"down_{i}")(skips[-1]))
        y = skips.pop()
        for level in range(1, 5):
            y = after_level(level, getattr(self, f"upcat_{5 - level}")(y, skips.pop()))
        return self.final_conv(y)


class GradTrack(UNet):
    """The U-Net with Track Attention after every decoder block. `amp` runs the network by automatic mixed precision; gaze
    maps and losses stay f32, as GradTrack's do."""

    def __init__(self, features, channels, options, amp=False):
        super().__init__(features, channels, 1, options)
        self.options, self.amp = options, amp
        for level, c in zip((1, 2, 3, 4), (*features[3:0:-1], features[5])):
            self.add_module(f"attention_{level}", TrackAttention(c))

    def losses(self, batch):
        """The losses of a batch of collate(): total, and by name segmentation and each level's."""
        o, images = self.options, augment(batch["images"], batch["geometry"], batch["colour"])
        maps = [track_map(batch["tracks"], l, o["mix"], images.shape[2] // n, images.shape[3] // n)
                for l, n in enumerate((8, 4, 2, 1, 1))]
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            logits, track = self.network(images, maps)
        target = (maps[-1] > o["foreground"]).float()
        counted = target + (maps[-1] < o["background"]).float()
        segmentation = segmentation_loss(logits.float(), target, counted, o)
        total = segmentation + sum(w * l for w, l in zip(o["lambda"], track))
        return total, {"segmentation": segmentation} | {f"track_{l}": t for l, t in enumerate(track, 1)}

    def network(self, images, maps):
        """Logits (B,H,W), and each level's loss."""
        track = []

        def attend(level, features):
            features, loss = getattr(self, f"attention_{level}")(features, maps[level - 1])
            track.append(loss)
            return features

        return self(images, attend)[:, 0], track


# ---- GazeMedSeg (METHOD 6) --------------------------------------------------------------------------------------------


def feature_propagation(features, values, dilation=2):
    """features (B,C,H,W), values (B,1,H,W) -> (B,H,W): values averaged over the 5 x 5 window of pixels `dilation` apart,
    with the softmax of the products of features, clamped at 0, as weights."""
    batch, channels, height, width = features.shape
    window = lambda x: F.unfold(x, 5, dilation, 2 * dilation).view(batch, -1, 25, height, width)
    similarity = torch.einsum("bchw,bckhw->bkhw", features, window(features))
    return (similarity.clamp_min(0).softmax(1) * window(values)[:, 0]).sum(1)


def augment_masks(masks, geometry):
    """Masks (B,H,W) u8 of 0 and 255, moved as augment() moves images: 1 where the bilinear value is at least one half."""
    sampled = sample(masks[:, None].float() / 255, geometry)
    return (sampled[:, 0] >= 0.5).float()


class Level(nn.Module):
    def __init__(self, features, channels, options):
        super().__init__()
        self.encoder = UNet(features, channels, features[5], options)
        self.classifier = nn.Conv2d(features[5], 1, 1)


class GazeMedSeg(nn.Module):
    """A U-Net for each pseudo mask, and the disagreement of each, after feature propagation, with the others. The
    classifier comes before the propagation, which leaves one channel to propagate."""

    def __init__(self, features, channels, options, amp=False):
        super().__init__()
        self.options = options
        for level in range(1, options["levels"] + 1):
            self.add_module(f"level_{level}", Level(features, channels, options))

    def losses(self, batch):
        o, images = self.options, augment(batch["images"], batch["geometry"], batch["colour"])
        direct, own, segmentation = [], [], 0
        for level, masks in enumerate(batch["pseudo"], 1):
            part = getattr(self, f"level_{level}")
            features = part.encoder(images)
            z = part.classifier(features)
            direct.append(z[:, 0])
            own.append(feature_propagation(features, z - part.classifier.bias) + part.classifier.bias)
            target = augment_masks(masks, batch["geometry"])
            segmentation = segmentation + segmentation_loss(z[:, 0], target, torch.ones_like(target), o)
        consistency = 0
        for i, z in enumerate(own):
            p = torch.sigmoid(z)
            for q in (torch.sigmoid(d.detach()) for j, d in enumerate(direct) if j != i):
                consistency = consistency + (p * (1 - 2 * q) + q).mean() / (len(own) - 1)
        return segmentation + o["consistency_weight"] * consistency, {"segmentation": segmentation,
                                                                     "consistency": consistency}


def segmentation_loss(z, target, counted, o):
    """Logits (B,H,W) against a target (B,H,W) of 0 and 1, at the pixels where counted is 1."""
    p = torch.sigmoid(z) * counted
    both, either = (p * target).sum((1, 2)), (p + target * counted).sum((1, 2))
    dice = (1 - (2 * both + 1) / (either + 1)).mean()
    bce = (F.binary_cross_entropy_with_logits(z, target, reduction="none") * counted).sum() / counted.sum()
    return o["dice"] * dice + o["bce"] * bce


def augment(images, geometry, colour):
    """Augmentation as in kernels/augment.cu: images (B,C,H,W) u8, geometry (B,2,3), colour (B,C,C+1).

    geometry maps output positions to input positions in image sides."""
    sampled = sample(images.float() / 255, geometry)
    mixed = torch.einsum("bij,bjhw->bihw", colour[..., :-1], sampled) + colour[..., -1][:, :, None, None]
    return mixed.contiguous(memory_format=images_format(images))


def sample(images, geometry):
    """Images (B,C,H,W) at moved positions; those of grid_sample run from -1 to 1."""
    turn, shift = geometry[..., :2], geometry[..., 2:]
    theta = torch.cat([turn, turn.sum(-1, keepdim=True) + 2 * shift - 1], -1)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def images_format(images):
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


def collate(inputs, memory_format):
    """The batch, as a data loader would return it, of gradtrack_peer's tensors."""
    batch = {
        "images": inputs["images"].permute(0, 3, 1, 2).contiguous(memory_format=memory_format),
        "geometry": inputs["geometry"],
        "colour": inputs["colour"],
        "pseudo": [inputs[k] for k in sorted(inputs) if k.startswith("pseudo_")],
    }
    if "kept" in inputs:
        batch["tracks"] = {k: inputs[k] for k in ("xy", "weight", "sigma", "tau")} | {"padded": padded(inputs["kept"])}
    return batch
