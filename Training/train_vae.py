"""Trains the VAE on crops of the drawings. Resumable: run it again to go on.

    python train_vae.py --data /path/shards --state /path/vae --minutes 9 --size 64 --batch 8 --rate 1.5e-4
    python train_vae.py … --decoder-only --minutes 30 --total-minutes 60    # sharper pictures, same latents
"""

import argparse
import glob
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import trainer

CONFIG = dict(
    block_out_channels=(32, 64, 96, 128), layers_per_block=1, latent_channels=4, norm_num_groups=8, sample_size=256,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, force_upcast=False,
)


class Crops:
    """Random crops of random pictures, from whichever shards exist by now."""

    def __init__(self, folder, seed):
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.loaded, self.used = [], 0

    def refresh(self):
        files = sorted(f for f in glob.glob(f"{self.folder}/*.npz") if ".tmp" not in f)
        for f in self.rng.choice(files, min(3, len(files)), replace=False):
            self.loaded.append(np.load(f)["pictures"])
        self.loaded = self.loaded[-6:]

    def batch(self, n, size):
        if self.used % 200 == 0:
            self.refresh()
        self.used += 1
        out = np.empty((n, size, size, 3), np.uint8)
        for i in range(n):
            pictures = self.loaded[self.rng.integers(len(self.loaded))]
            p = pictures[self.rng.integers(len(pictures))]
            y, x = (self.rng.integers(0, s - size + 1) for s in p.shape[:2])
            out[i] = p[y:y + size, x:x + size]
            if self.rng.random() < 0.5:
                out[i] = out[i][:, ::-1]
        return torch.from_numpy(out).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


CONSTANT = 4.0


def carry(conv, kernel):
    """Lets the carried channels pass a convolution: `kernel` for colours, the middle tap for constants."""
    conv.weight[:12] = 0
    conv.bias[:12] = 0
    size = conv.weight.shape[-1]
    for k in range(12):
        if k % 4 < 2 and kernel is not None:
            conv.weight[k, k] = kernel
        elif kernel is not None and kernel[1, 1] == kernel[0, 0]:
            conv.weight[k, k] = kernel
        else:
            conv.weight[k, k, size // 2, size // 2] = 1


@torch.no_grad()
def make_model():
    """Begins as a network that shrinks the picture eightfold and enlarges it smoothly again.

    Twelve channels carry it through: for red, green and blue the colour, its negative (so that the SiLU at
    the end loses nothing: silu(v) − silu(−v) = v) and two constants of opposite sign (so that the
    normalisation, whose scale they set, does not lose the brightness). Every residual branch begins at zero.
    Training adds the detail; from random weights the colours alone took longer than all of it does now.
    """
    vae = AutoencoderKL(**CONFIG).to(memory_format=torch.channels_last)
    average = torch.zeros(3, 3)
    average[:2, :2] = 0.25
    tent = torch.tensor([1.0, 2, 1])[:, None] * torch.tensor([1.0, 2, 1]) / 16
    for name, m in vae.named_modules():
        if name.endswith("conv2") or name.endswith("to_out.0"):
            m.weight.zero_(), m.bias.zero_()
        elif "conv_shortcut" in name:
            carry(m, None)
        elif "downsamplers" in name and name.endswith("conv"):
            carry(m, average)
        elif "upsamplers" in name and name.endswith("conv"):
            carry(m, tent)

    def enter(conv, scale):
        conv.weight[:12] = 0
        for k in range(12):
            conv.bias[k] = (0, 0, CONSTANT, -CONSTANT)[k % 4]
            if k % 4 < 2:
                conv.weight[k, k // 4, 1, 1] = scale * (1, -1)[k % 4]

    def leave(conv, outputs, scale):
        conv.weight[:outputs] = 0
        conv.bias[:outputs] = 0
        for c in range(outputs):
            conv.weight[c, 4 * c, 1, 1], conv.weight[c, 4 * c + 1, 1, 1] = scale, -scale

    enter(vae.encoder.conv_in, 1)
    spread = (6 * CONSTANT ** 2 / 16) ** 0.5  # deviation of the first of the encoder's last groups
    leave(vae.encoder.conv_out, 3, 2 * spread)
    vae.encoder.conv_out.weight[4:].mul_(0.1)
    vae.encoder.conv_out.bias[4:] = -6
    vae.quant_conv.weight.copy_(torch.eye(8)[..., None, None]), vae.quant_conv.bias.zero_()
    vae.post_quant_conv.weight.copy_(torch.eye(4)[..., None, None]), vae.post_quant_conv.bias.zero_()
    enter(vae.decoder.conv_in, 0.5)
    leave(vae.decoder.conv_out, 3, CONSTANT / 2 ** 0.5)
    return vae


def make_loss(rank, a):
    crops = Crops(a.data, int(time.time()) + rank)

    def loss_of(vae, progress):
        x = crops.batch(a.batch, a.size)
        # float32: at these widths bfloat16's backward pass is 1.7 times slower on a CPU.
        with torch.set_grad_enabled(not a.decoder_only):
            posterior = vae.encode(x).latent_dist
        y = vae.decode(posterior.sample()).sample
        mean, logvar = posterior.mean, posterior.logvar
        mse = F.mse_loss(y, x)
        coarse = F.l1_loss(F.avg_pool2d(y, 4), F.avg_pool2d(x, 4))
        kl = 0.5 * (mean ** 2 + logvar.exp() - 1 - logvar).mean()
        # Latents that look like small pictures can be upsampled and blurred, as DemoFusion does.
        thumbnail = F.mse_loss(mean[:, :3], 2 * F.avg_pool2d(x, 8))
        loss = 0.5 * F.l1_loss(y, x) + 2 * mse + 0.25 * coarse + 2e-5 * kl + 0.01 * thumbnail
        return loss, mse.item()

    return loss_of


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--decoder-only", action="store_true", help="leave the latents as they are, so that a trained UNet still fits")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    trainer.arguments(parser, minutes=20, rate=1.2e-3)
    trainer.train(make_model, make_loss, parser.parse_args())
