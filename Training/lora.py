"""Low-rank changes of the UNet's weights (LoRA): trained, written in Diffusers' layout, merged."""

import os

import torch
from safetensors.torch import load_file, save_file

RANK = 40  # 7.7 MB in half precision


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


def make_adapter(unet):
    return torch.nn.ModuleDict({n.replace(".", "|"): LowRank(m.weight) for n, m in adapted(unet).items()})


def write(adapter, path):
    tensors = {}
    for n, m in adapter.items():
        name, up = f"unet.{n.replace('|', '.')}", m.up.detach().half()
        tensors[f"{name}.lora_A.weight"] = m.down.detach().half().contiguous()
        tensors[f"{name}.lora_B.weight"] = (up if m.down.ndim == 2 else up[..., None, None]).contiguous()
    save_file(tensors, path)
    print(f"{path}: {len(adapter)} layers, {os.path.getsize(path) / 1e6:.2f} MB")


@torch.no_grad()
def merge(unet, path):
    """Adds a file that `write` wrote to the weights of a UNet."""
    tensors = load_file(path)
    for name, layer in unet.named_modules():
        down, up = (tensors.pop(f"unet.{name}.lora_{part}.weight", None) for part in "AB")
        if up is not None:
            change = up.flatten(1).float() @ down.flatten(1).float()
            layer.weight += change.view_as(layer.weight).to(layer.weight)
    if tensors:
        raise SystemExit(f"{path}: the UNet does not have {sorted(tensors)[0]}")
