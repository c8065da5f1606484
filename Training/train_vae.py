"""Trains the VAE's decoder on crops of the drawings. Resumable: run it again to continue.

    python train_vae.py --data /path/shards --state /path/vae --minutes 30

The encoder is built by hand (see `build_encoder`): latents that are small pictures can be upsampled and
blurred, as DemoFusion does, and cost nothing to make.
"""

import argparse

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import trainer
from drawings import Drawings
from latents import LUMA, SLOPE, latents_of

CONFIG = dict(
    block_out_channels=(32, 64, 96, 128), layers_per_block=1, latent_channels=4, norm_num_groups=8, sample_size=256,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, force_upcast=False,
)


def crops(drawings, n, size):
    """Random crops [n, 3, size, size] (−1…1) of random pictures."""
    group = next(g for s, g in sorted(drawings.groups.items()) if s[0] == s[1])
    device, pictures = drawings.device, group.columns["pictures"]
    # Of two crops the one with more content: most of a drawing is smooth.
    picked = torch.randint(group.count, (2 * n,), device=device)
    top, left = (torch.randint(pictures.shape[k] - size + 1, (2 * n, 1), device=device) for k in (1, 2))
    along = torch.arange(size, device=device)
    out = pictures[picked[:, None, None], (top + along)[:, :, None], (left + along)[:, None, :]]
    holds = out[:, ::4, ::4].float().flatten(1).std(1).view(n, 2)
    out = out.view(n, 2, size, size, 3)[torch.arange(n, device=device), holds.argmax(1)]
    out = torch.where(torch.rand(n, 1, 1, 1, device=device) < 0.5, out.flip(2), out)
    return out.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)


CONSTANT = 4.0
CARRIED = 12  # channels that carry the picture: for each colour +v, −v, +CONSTANT, −CONSTANT
def carry(conv, kernel=None):
    """Makes a convolution pass the carried channels through: `kernel` for colours, the same in sum for constants."""
    conv.weight[:CARRIED] = 0
    conv.bias[:CARRIED] = 0
    for k in range(CARRIED):
        if kernel is None:
            conv.weight[k, k, 0, 0] = 1
        elif k % 4 < 2 or kernel[2].abs().sum() == 0:
            conv.weight[k, k] = kernel
        else:
            conv.weight[k, k, 1, 1] = 1


def enter(conv, scale):
    conv.weight[:CARRIED] = 0
    for k in range(CARRIED):
        conv.bias[k] = (0, 0, CONSTANT, -CONSTANT)[k % 4]
        if k % 4 < 2:
            conv.weight[k, k // 4, 1, 1] = scale * (1, -1)[k % 4]


def leave(conv, scale):
    conv.weight[:3] = 0
    conv.bias[:3] = 0
    for c in range(3):
        conv.weight[c, 4 * c, 1, 1], conv.weight[c, 4 * c + 1, 1, 1] = scale, -scale


def begin_at_zero(part):
    """Every residual branch adds nothing, so that the picture passes through the shortcut."""
    for name, m in part.named_modules():
        if name.endswith("conv2") or name.endswith("to_out.0"):
            m.weight.zero_(), m.bias.zero_()
        elif "conv_shortcut" in name:
            carry(m)


def build_encoder(vae):
    """The encoder is built, not trained: weights that compute `latents_of` (to about one percent)."""
    encoder, average = vae.encoder, torch.zeros(3, 3)
    average[:2, :2] = 0.25
    fall = torch.zeros(3, 3)
    fall[0, :2], fall[1, :2] = 0.5, -0.5
    for p in encoder.parameters():
        p.zero_()
    for name, m in encoder.named_modules():
        if isinstance(m, torch.nn.GroupNorm):
            m.weight.fill_(1)
    begin_at_zero(encoder)
    enter(encoder.conv_in, 1)
    for block in encoder.down_blocks[:-1]:
        carry(block.downsamplers[0].conv, average)
    last = encoder.down_blocks[-2].downsamplers[0].conv
    for c, share in enumerate(LUMA):
        last.weight[12, 4 * c], last.weight[13, 4 * c] = share * fall, -share * fall
    shortcut = encoder.down_blocks[-1].resnets[0].conv_shortcut
    shortcut.weight[12, 12], shortcut.weight[13, 13] = 1, 1
    # What the last normalisation divides by: its first group holds the twelve carried channels among sixteen.
    spread = (6 * CONSTANT ** 2 / 16 + 6 * 0.32 / 16) ** 0.5
    leave(encoder.conv_out, 2 * spread)
    encoder.conv_out.weight[3, 12, 1, 1], encoder.conv_out.weight[3, 13, 1, 1] = SLOPE * spread, -SLOPE * spread
    encoder.conv_out.bias[4:] = -8
    vae.quant_conv.weight.copy_(torch.eye(8)[..., None, None]), vae.quant_conv.bias.zero_()


def begin_decoder(vae):
    """The decoder starts as a smooth upsampler; training adds the detail.

    The negative of each colour is carried so that the SiLU at the end loses nothing (silu(v) − silu(−v) = v),
    the constants so that the normalisation, whose scale they set, does not lose the brightness.
    """
    decoder, tent = vae.decoder, torch.tensor([1.0, 2, 1])[:, None] * torch.tensor([1.0, 2, 1]) / 16
    begin_at_zero(decoder)
    for block in decoder.up_blocks[:-1]:
        carry(block.upsamplers[0].conv, tent)
    vae.post_quant_conv.weight.copy_(torch.eye(4)[..., None, None]), vae.post_quant_conv.bias.zero_()
    enter(decoder.conv_in, 0.5)
    leave(decoder.conv_out, CONSTANT / 2 ** 0.5)


@torch.no_grad()
def make_model():
    vae = AutoencoderKL(**CONFIG).to(memory_format=torch.channels_last)
    build_encoder(vae)
    begin_decoder(vae)
    vae.encoder.requires_grad_(False), vae.quant_conv.requires_grad_(False)
    return vae


def rate_factors(vae):
    """Learning-rate factors of the weights that carry the picture: a small error there shifts all colours."""
    factors = {}
    for name, m in vae.decoder.named_modules():
        if isinstance(m, torch.nn.Conv2d) and ("shortcut" in name or "upsamplers" in name or name == "conv_in"):
            factors[m.weight], factors[m.bias] = (slice(0, CARRIED), 0), (slice(0, CARRIED), 0)
        elif name.endswith("conv2"):
            constants = [k for k in range(CARRIED) if k % 4 > 1]
            factors[m.weight], factors[m.bias] = (constants, 0), (constants, 0)
    factors[vae.decoder.conv_norm_out.weight] = (slice(0, CARRIED), 0)
    factors[vae.decoder.conv_out.weight] = ((slice(None), slice(0, CARRIED)), 0.03)
    for p in vae.post_quant_conv.parameters():
        factors[p] = (slice(None), 0)
    return factors


def roughness(x):
    """How strongly each neighbourhood varies, at two scales: texture, whatever its pattern."""
    out = []
    for _ in range(2):
        dx, dy = x[..., 1:, 1:] - x[..., 1:, :-1], x[..., 1:, 1:] - x[..., :-1, 1:]
        out.append(F.avg_pool2d((dx.square() + dy.square() + 1e-4).sqrt(), 8, 4))
        x = F.avg_pool2d(x, 2)
    return out


def make_loss(a, drawings):
    # The zeros beyond a picture's edge pull the two outermost pixels of each side towards grey, at every enlargement. Only a
    # branch that detects the edge can correct that, so the edge has a larger weight in the loss. A crop's edge is a picture's edge.
    weight = torch.ones(a.size, a.size, device=trainer.DEVICE)
    for k in range(4):
        weight[k:a.size - k, k:a.size - k] = (a.edge, a.edge, 2.0, 1.5)[k]
    weight[4:-4, 4:-4] = 1
    weight /= weight.mean()
    compiled = []

    def loss_of(vae):
        x = crops(drawings, a.batch, a.size)
        z = latents_of(x)
        # Noise on the latents, because the UNet's are not perfect either.
        z = z + 0.05 * torch.rand(len(z), 1, 1, 1, device=z.device) * torch.randn_like(z)
        if not compiled:
            decode = lambda z: vae._decode(z).sample
            compiled.append(torch.compile(decode) if a.compile else decode)
        # Not in bfloat16: the carried picture needs more digits.
        y = compiled[0](z.contiguous(memory_format=torch.channels_last))
        mse = ((y - x).square() * weight).mean()
        # Unpredictable texture should be invented rather than smoothed away: costs PSNR, gains sharpness.
        texture = sum(F.l1_loss(p, q) for p, q in zip(roughness(y), roughness(x)))
        return 0.5 * ((y - x).abs() * weight).mean() + 2 * mse + a.texture * texture, F.mse_loss(y.detach(), x)

    return loss_of


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--begin-from", help="a folder with a trained VAE to begin from")
    parser.add_argument("--begin-with", type=int, default=10_000, help="begin as soon as there are so many drawings")
    parser.add_argument("--texture", type=float, default=0.01, help="weight of the texture term")
    parser.add_argument("--edge", type=float, default=5.0, help="weight of the two outermost pixels of each side")
    parser.add_argument("--compile", action="store_true", help="worth its minutes in a long run")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=128)
    trainer.arguments(parser, minutes=30, rate=7e-4)
    a = parser.parse_args()

    def first_model():
        begun = make_model()
        if a.begin_from:
            begun.load_state_dict(AutoencoderKL.from_pretrained(a.begin_from).float().state_dict())
        return begun

    drawings = Drawings(a.data, trainer.DEVICE, pictures=True)
    drawings.wait_for(a.begin_with)
    trainer.train(first_model, make_loss(a, drawings), a, rate_factors=rate_factors)
