"""Writes a checkpoint of SDXL's full size with random weights (5.3 GB), for measurements.

    python sdxl_checkpoint.py OUT [vae|whole]

With `vae`, only the VAE (0.2 GB); with `whole`, the text encoders too (6.9 GB), for whole renders. The other parts are the
default model's.
"""

import json
import os
import struct
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

# The published configurations of stabilityai/stable-diffusion-xl-base-1.0, as facts.
UNET = dict(
    sample_size=128, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280), layers_per_block=2,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 2, 10), attention_head_dim=(5, 10, 20), cross_attention_dim=2048, use_linear_projection=True,
    addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
)
VAE = dict(
    block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=1024, scaling_factor=0.13025,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)
TEXT = dict(vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768,
            hidden_act="quick_gelu", bos_token_id=49406, eos_token_id=2, pad_token_id=1)
TEXT_2 = TEXT | dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, projection_dim=1280, hidden_act="gelu")


def write(model, path):
    """Half-precision weights that keep signals near unit variance, written one at a time."""
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = dict(dtype="F16", shape=shape, data_offsets=[at, at + size])
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # Slices of a few million normal numbers: generating billions would take minutes.
    noise = np.random.default_rng(0).standard_normal(1 << 22).astype(np.float16)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for i, (name, shape) in enumerate(shapes.items()):
            count = int(np.prod(shape))
            if len(shape) == 1:
                is_scale = "norm" in name and name.endswith("weight")
                f.write(np.full(count, 1.0 if is_scale else 0.0, np.float16).tobytes())
                continue
            scale = np.float16(np.prod(shape[1:]) ** -0.5)
            shifted = np.roll(noise, -7919 * i) * scale
            for _ in range(count // len(shifted)):
                f.write(shifted.tobytes())
            f.write(shifted[: count % len(shifted)].tobytes())


def main(out, only=None):
    with torch.device("meta"):
        parts = dict(vae=AutoencoderKL(**VAE))
        if only != "vae":
            parts["unet"] = UNet2DConditionModel(**UNET)
        if only == "whole":
            parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**TEXT))
            parts["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT_2))
    for name, model in parts.items():
        os.makedirs(f"{out}/{name}", exist_ok=True)
        is_text = name.startswith("text")
        (model.config.save_pretrained if is_text else model.save_config)(f"{out}/{name}")
        write(model, f"{out}/{name}/{'model' if is_text else 'diffusion_pytorch_model'}.safetensors")
    EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1).save_pretrained(f"{out}/scheduler")
    # The other parts of the model are never evaluated: use the default model's.
    vista = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Models", "vista")
    for name in ("unet", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "model_index.json"):
        if not os.path.lexists(f"{out}/{name}"):
            os.symlink(os.path.abspath(f"{vista}/{name}"), f"{out}/{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
