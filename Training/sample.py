"""A sheet of samples: every scene at every time of day, or the prompts given.

    python sample.py --model ../Models/vista --out sheet.png ["a lake at dawn" ...]
"""

import argparse

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline
from PIL import Image

import lora
from landscapes import SCENES, TIMES
from trainer import DEVICE

PHRASES = dict(mountains="a mountain range", lake="a lake with mountains", sea="the sea", desert="a desert", forest="a pine forest",
               city="a city skyline", plain="an open plain")
HOURS = dict(dawn="at dawn", day="by day", sunset="at sunset", night="at night")


@torch.no_grad()
def main():
    a = argparse.ArgumentParser()
    a.add_argument("prompts", nargs="*")
    a.add_argument("--model", default="../Models/vista")
    a.add_argument("--vae", help="another VAE")
    a.add_argument("--lora", help="a LoRA by distil.py: --steps 4 --guidance 1")
    a.add_argument("--out", required=True)
    a.add_argument("--steps", type=int, default=20)
    a.add_argument("--guidance", type=float, default=3.0)
    a.add_argument("--seed", type=int, default=1)
    a = a.parse_args()
    prompts = a.prompts or [f"{PHRASES[s]} {HOURS[t]}" for t in TIMES for s in SCENES]
    pipe = StableDiffusionXLPipeline.from_pretrained(a.model, dtype=torch.float32, add_watermarker=False).to(DEVICE)
    if a.vae:
        pipe.vae = AutoencoderKL.from_pretrained(a.vae).float().to(DEVICE)
        pipe.vae.register_to_config(scaling_factor=1.0)
    if a.lora:
        lora.merge(pipe.unet, a.lora)
    pipe.set_progress_bar_config(disable=True)
    pictures = pipe(prompts, num_inference_steps=a.steps, guidance_scale=a.guidance, height=256, width=256,
                    generator=torch.Generator().manual_seed(a.seed)).images
    columns = min(7, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (256 * columns, 256 * rows))
    for i, p in enumerate(pictures):
        sheet.paste(p, (i % columns * 256, i // columns * 256))
    sheet.save(a.out)


if __name__ == "__main__":
    main()
