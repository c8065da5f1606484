"""PyTorch's and diffusers' side of a comparison; the same lines in and out as Evaluations/Evaluations.swift.

    python torch_side.py MODEL unet|decoder -|DEVICE f32|bf16|f16 THREADS INPUTS OUTPUT
"""

import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file


def most_memory():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024


def main(model, part, device, precision, threads, inputs, output):
    torch.set_num_threads(int(threads))
    dtype = dict(f32=torch.float32, bf16=torch.bfloat16, f16=torch.float16)[precision]
    device = "cpu" if device == "-" else device
    start = time.time()
    kind, folder = (UNet2DConditionModel, "unet") if part == "unet" else (AutoencoderKL, "vae")
    network = kind.from_pretrained(f"{model}/{folder}", torch_dtype=dtype, use_safetensors=True).eval()
    network = network.to(device, memory_format=torch.channels_last)
    given = {k: v.to(device) for k, v in load_file(inputs).items()}
    latents = given["latents"].to(dtype).contiguous(memory_format=torch.channels_last)

    def evaluate():
        if part == "unet":
            added = None
            if "pooled" in given:
                added = dict(text_embeds=given["pooled"].to(dtype), time_ids=given["time_ids"].to(dtype))
            return network(latents, given["timestep"], encoder_hidden_states=given["context"].to(dtype), added_cond_kwargs=added).sample
        return network.decode(latents / network.config.scaling_factor).sample

    print(time.time() - start, most_memory(), flush=True)
    for _ in sys.stdin:
        start = time.time()
        with torch.inference_mode():
            result = evaluate().float().cpu()
        print(time.time() - start, most_memory(), flush=True)
        save_file({"output": result.contiguous()}, output)


main(*sys.argv[1:])
