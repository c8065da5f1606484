"""Assembles the trained parts into a Diffusers folder in half precision.

    python assemble.py --vae-state /path/vae --text /path/text --unet-state /path/unet --out ../Models/vista

Parts whose state is not there yet keep random weights, so that the layout can be tested early.
"""

import argparse
import os
import shutil

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from train_unet import SCHEDULER, UNET
from train_vae import CONFIG


def trained_vae(state):
    vae = AutoencoderKL(**CONFIG)
    path = f"{state}/state.pt"
    if os.path.exists(path):
        vae.load_state_dict(torch.load(path, weights_only=False)["ema"])
    # The latents already have standard deviation one: see `latents_of`.
    vae.register_to_config(scaling_factor=1.0)
    return vae.half()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--vae-state", required=True)
    a.add_argument("--text", required=True)
    a.add_argument("--unet-state", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--unet-weights", choices=("ema", "model"), default="ema", help="averaged or last weights")
    a = a.parse_args()
    unet = UNet2DConditionModel(**UNET)
    path = f"{a.unet_state}/state.pt"
    if os.path.exists(path):
        unet.load_state_dict(torch.load(path, weights_only=False)[a.unet_weights])
    shutil.rmtree(a.out, ignore_errors=True)
    pipe = StableDiffusionXLPipeline(
        trained_vae(a.vae_state), CLIPTextModel.from_pretrained(f"{a.text}/text_encoder").half(),
        CLIPTextModelWithProjection.from_pretrained(f"{a.text}/text_encoder_2").half(),
        CLIPTokenizer.from_pretrained(f"{a.text}/tokenizer"), CLIPTokenizer.from_pretrained(f"{a.text}/tokenizer_2"), unet.half(),
        DDIMScheduler(**SCHEDULER), force_zeros_for_empty_prompt=True, add_watermarker=False)
    pipe.save_pretrained(a.out, safe_serialization=True)
    # The slow-tokenizer files that published checkpoints have.
    for name in ("tokenizer", "tokenizer_2"):
        shutil.rmtree(f"{a.out}/{name}")
        os.makedirs(f"{a.out}/{name}")
        for f in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(f"{a.text}/{name}/{f}", f"{a.out}/{name}/{f}")
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(a.out) for f in fs if f.endswith(".safetensors"))
    print(f"{a.out}: {size / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
