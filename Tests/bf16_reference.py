"""How far diffusers' own bfloat16 is from float32 on the network fixtures, for TorchTests.

    python Tests/bf16_reference.py [--threads 1]

For every fixture in Tests/Fixtures/expected it runs diffusers' VAE on the processor with weights and activations in bfloat16,
in both memory layouts and with both forms of attention, and prints for the encoder's mean the root of the mean squared error
over the deviation of the float32 result: what the tests measure. `Tolerance.bfloat16Mean(of:)` has the least and the largest value.
"""

import argparse
import json
import os

import diffusers
import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from safetensors.torch import load_file

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Fixtures")


def error(found, wanted):
    return ((found.float() - wanted).pow(2).mean().sqrt() / wanted.std(correction=0)).item()


def main(a):
    torch.set_num_threads(a.threads)
    print(torch.__version__, diffusers.__version__)
    for name in ("sd15", "sd21", "sdxl"):
        expected = load_file(f"{FIXTURES}/expected/{name}.safetensors")
        vae = AutoencoderKL.from_pretrained(f"{FIXTURES}/{name}-tiny/vae", torch_dtype=torch.bfloat16).eval()
        for layout in (torch.contiguous_format, torch.channels_last):
            for attention in (AttnProcessor2_0, AttnProcessor):
                vae = vae.to(memory_format=layout)
                vae.set_attn_processor(attention())
                with torch.inference_mode():
                    image = expected["vae.image"].to(torch.bfloat16).contiguous(memory_format=layout)
                    mean = vae.encode(image).latent_dist.mean
                print(name, layout, attention.__name__, f"{error(mean, expected['vae.mean']):.5f}", flush=True)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=1)
    main(p.parse_args())
