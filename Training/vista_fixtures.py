"""Writes the parity fixture of the default model, in the form of reference/make_fixtures.py's sdxl one.

    python vista_fixtures.py ../Tests/Fixtures

makes expected/vista.safetensors and expected/vista.json there: float32 arithmetic on the float16
weights of ../Models/vista.
"""

import argparse
import json
import os
import random
import sys

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/reference")
from demofusion_reference import Denoiser, demofusion  # noqa: E402
from make_fixtures import PROMPTS  # noqa: E402

OWN_PROMPTS = ["a mountain lake at sunset", "a city skyline at night with a full moon and stars", "Sand dunes by day, clear sky, 4k",
               "a pine forest in winter under a cloudy sky", "the open ocean at dawn with one sun, highly detailed"]
PROMPT, NEGATIVE = "a calm sea at sunset with one sun", "night, cloudy"
GUIDANCE, SIGMA = 5.0, 0.8


@torch.no_grad()
def main():
    a = argparse.ArgumentParser()
    a.add_argument("out")
    a.add_argument("--model", default=f"{HERE}/../Models/vista")
    a = a.parse_args()
    os.makedirs(f"{a.out}/expected", exist_ok=True)
    torch.manual_seed(0)
    pipe = StableDiffusionXLPipeline.from_pretrained(a.model, torch_dtype=torch.float32, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    T, meta = {}, {"kind": "vista", "prompts": PROMPTS + OWN_PROMPTS, "prompt": PROMPT, "negative": NEGATIVE}
    for name, tok in (("tokens", pipe.tokenizer), ("tokens_2", pipe.tokenizer_2)):
        ids = tok(meta["prompts"], padding="max_length", max_length=77, truncation=True).input_ids
        T[name] = torch.tensor(ids, dtype=torch.int32)
    p, n, pp, np_ = pipe.encode_prompt(prompt=PROMPT, negative_prompt=NEGATIVE, device="cpu", do_classifier_free_guidance=True)
    T["prompt_embeds"], T["negative_prompt_embeds"], T["pooled"], T["negative_pooled"] = p, n, pp, np_

    T["unet.time_ids"] = torch.tensor([[256.0, 256, 0, 0, 256, 256], [1024, 1024, 96, 544, 1024, 1024]])
    added = {"text_embeds": torch.cat([np_, pp]), "time_ids": T["unet.time_ids"]}
    for j, (size, t) in enumerate([((32, 32), 999), ((48, 32), 500), ((32, 40), 1)]):
        x = torch.randn(2, 4, *size)
        T[f"unet.{j}.input"], T[f"unet.{j}.timestep"] = x, torch.tensor([float(t)])
        T[f"unet.{j}.output"] = pipe.unet(x, torch.tensor(t), encoder_hidden_states=torch.cat([n, p]), added_cond_kwargs=added).sample

    scale = pipe.vae.config.scaling_factor
    z = torch.randn(1, 4, 16, 24)
    T["vae.latent"], T["vae.decoded"] = z, pipe.vae.decode(z / scale).sample
    image = F.interpolate(torch.rand(1, 3, 10, 14), size=(128, 192), mode="bicubic").clamp(0, 1) * 2 - 1
    posterior = pipe.vae.encode(image).latent_dist
    T["vae.image"], T["vae.mean"], T["vae.logvar"] = image, posterior.mean, posterior.logvar

    steps, sizes, window, stride, ids = 3, [(2, 64, 64)], 32, 16, torch.tensor([512.0, 512, 0, 0, 512, 512])
    base_noise, phase_noise = torch.randn(1, 4, 32, 32), {2: torch.randn(1, 4, 64, 64)}
    drawn, log = random.Random(1), []

    def jitter(low, high):
        log.append(drawn.randint(low, high))
        return log[-1]

    denoise, trace = Denoiser(pipe.unet, p, n, pp, np_, ids, GUIDANCE), {}
    finals = demofusion(denoise, pipe.scheduler, base_noise, phase_noise, sizes, window, stride, 8, jitter, steps=steps, sigma=SIGMA, trace=trace)
    T["run.2x.base_noise"], T["run.2x.phase_noise.2"] = base_noise, phase_noise[2]
    T["run.2x.jitter"] = torch.tensor(log, dtype=torch.int32)
    for key, value in trace.items():
        if key.split(".")[1] in ("step0", f"step{steps - 1}", "upsampled"):
            T[f"run.2x.{key}"] = value
    for k, final in enumerate(finals):
        T[f"run.2x.final.{k}"] = final
    T["run.2x.image"] = pipe.vae.decode(finals[-1] / scale).sample
    meta["run.2x"] = dict(steps=steps, sizes=sizes, window=window, stride=stride, time_ids=ids.tolist(), guidance=GUIDANCE, sigma=SIGMA,
                          cosine=[3, 1, 1], unet_calls=denoise.calls, scheduler=type(pipe.scheduler).__name__)

    noise = torch.randn(1, 4, 32, 32)
    T["stock.noise"] = noise
    T["stock.latent"] = pipe(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=6, guidance_scale=GUIDANCE, latents=noise,
                             height=256, width=256, output_type="latent").images
    path = f"{a.out}/expected/vista.safetensors"
    save_file({k: t.clone().contiguous() for k, t in T.items()}, path)
    json.dump(meta, open(f"{a.out}/expected/vista.json", "w"), ensure_ascii=False, indent=1)
    print(f"{path}: {len(T)} tensors, {os.path.getsize(path) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
