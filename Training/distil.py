"""Distils the UNet to few steps: a LoRA with which LCM's sampler needs four, and refine one or two a window. Resumable.

    python distil.py --model ../Models/vista --data /path/shards --state /path/distil --minutes 60
    python distil.py --model ../Models/vista --state /path/distil --out ../Models/vista-lcm.safetensors

Consistency distillation (Luo et al., 2023): from a noised latent the teacher takes one guided step of DDIM, and the student
must foretell the same clean latent from before the step as from after it. Guidance is learnt with it: render with
`--guidance 1`. Windows of large pictures learn at the little noise that refine gives them, and at any other.
"""

import argparse
import os

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch.nn.utils import parametrize

import trainer
from drawings import Drawings, Text
from muon import FAST_BFLOAT16
from train_unet import SCHEDULER

RANK = 16
STRIDE = 20  # timesteps from one step of the teacher to the next: fifty in all, as LCM's sampler has them
GUIDANCES = (2.0, 4.0)


class LowRank(torch.nn.Module):
    """The LoRA of one weight: a product of two thin matrices, initially zero."""

    def __init__(self, weight):
        super().__init__()
        self.down = torch.nn.Parameter(torch.randn(RANK, *weight.shape[1:]) / weight[0].numel() ** 0.5)
        self.up = torch.nn.Parameter(torch.zeros(weight.shape[0], RANK))

    def forward(self, weight):
        return weight + (self.up @ self.down.flatten(1)).view_as(weight)


def adapted(unet):
    """The layers that the LoRA changes: all but the first, the last, and the embeddings of time and sizes."""
    return {n: m for n, m in unet.named_modules()
            if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)) and min(m.weight.shape[:2]) > RANK and "embedding" not in n}


def make_adapter(a):
    unet = UNet2DConditionModel.from_pretrained(f"{a.model}/unet").float()
    return torch.nn.ModuleDict({n.replace(".", "|"): LowRank(m.weight) for n, m in adapted(unet).items()})


def make_loss(a, drawings):
    device, begun = trainer.DEVICE, []
    teacher, student = (UNet2DConditionModel.from_pretrained(f"{a.model}/unet").float().requires_grad_(False).to(device) for _ in range(2))
    acp = DDIMScheduler(**SCHEDULER).alphas_cumprod.float().to(device)
    steps = 1000 // STRIDE
    clean = lambda v, x, a_: a_.sqrt() * x - (1 - a_).sqrt() * v

    def loss_of(adapter):
        if not begun:
            for n, m in adapted(student).items():
                parametrize.register_parametrization(m, "weight", adapter[n.replace(".", "|")])
            begun.append(True)
        z, ids, context, pooled = drawings.batch(a.batch)
        n = len(z)
        few = (ids[:, 2:4] != 0).any(1) & (torch.rand(n, device=device) < 0.6)
        k = torch.where(few, torch.randint(1, 1 + 400 // STRIDE, (n,), device=device), torch.randint(1, steps + 1, (n,), device=device))
        t, s = k * STRIDE - 1, (k - 1) * STRIDE - 1
        last = (s < 0)[:, None, None, None]
        at, to = acp[t][:, None, None, None], torch.where(last, torch.ones((), device=device), acp[s.clamp(min=0)][:, None, None, None])
        x = at.sqrt() * z + (1 - at).sqrt() * torch.randn_like(z)
        call = lambda net, x, t, c, p: net(x, t, encoder_hidden_states=c, added_cond_kwargs=dict(text_embeds=p, time_ids=ids)).sample.float()
        with torch.autocast(device.type, torch.bfloat16, enabled=FAST_BFLOAT16):
            # No weight that was cast without a gradient may be used again where one is wanted.
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=FAST_BFLOAT16, cache_enabled=False):
                v, other = call(teacher, x, t, context, pooled), call(teacher, x, t, 0 * context, 0 * pooled)
                v = other + torch.empty(n, 1, 1, 1, device=device).uniform_(*GUIDANCES) * (v - other)
                x0 = clean(v, x, at)
                y = to.sqrt() * x0 + (1 - to).sqrt() * (at.sqrt() * v + (1 - at).sqrt() * x)
                target = torch.where(last, y, clean(call(student, y, s.clamp(min=0), context, pooled), y, to))
            before = clean(call(student, x, t, context, pooled), x, at)
        error = before - target
        return ((error.square() + 1e-4).sqrt() - 0.01).mean(), F.mse_loss(before.detach(), target)

    return loss_of


def write(a):
    adapter = make_adapter(a)
    adapter.load_state_dict(torch.load(f"{a.state}/state.pt", weights_only=False)["ema"])
    tensors = {}
    for n, m in adapter.items():
        name, up = f"unet.{n.replace('|', '.')}", m.up.detach().half()
        tensors[f"{name}.lora_A.weight"] = m.down.detach().half().contiguous()
        tensors[f"{name}.lora_B.weight"] = (up if m.down.ndim == 2 else up[..., None, None]).contiguous()
    save_file(tensors, a.out)
    print(f"{a.out}: {len(adapter)} layers, {os.path.getsize(a.out) / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="../Models/vista")
    parser.add_argument("--data", help="folder of the shards")
    parser.add_argument("--out", help="write the LoRA there instead of training")
    parser.add_argument("--begin-with", type=int, default=10_000, help="begin as soon as there are so many drawings")
    parser.add_argument("--batch", type=int, default=128)
    trainer.arguments(parser, minutes=60, rate=5e-4)
    a = parser.parse_args()
    if a.out:
        write(a)
    else:
        drawings = Drawings(a.data, trainer.DEVICE, Text(a.model, trainer.DEVICE))
        drawings.wait_for(a.begin_with)
        trainer.train(lambda: make_adapter(a), make_loss(a, drawings), a)
