"""Prompts that AND joins: runs of Diffusers' networks and DDIM with the arithmetic of composable diffusion.

    python make_composed_fixtures.py FIXTURES OUT      OUT/composed.json (cases, readings), OUT/composed.safetensors

At each step the prediction is uncond + sum of guidance * weight * (text - uncond) over the parts (Liu et al., 2022, arXiv
2206.01714, as A1111 computes it; at guidance 1, too). Parts are read by A1111's two regular expressions. A part may change during the steps: it is
given as its text for each step. Networks run in float32; an input is chosen at which float64 gives nearly the same, because these networks
of random weights magnify the rounding of some inputs beyond any tolerance.
"""
import json, re, sys

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

STEPS = 2
NEGATIVE = "rain, fog"
CASES = {  # name: prompt, guidance, [weight, texts of the steps]
    "two": ("a lake :0.8 AND an old bridge", 5, [(0.8, ["a lake"] * STEPS), (1, ["an old bridge"] * STEPS)]),
    "away": ("a lake AND a boat :-0.5 AND mist: 1.25", 3,
             [(1, ["a lake"] * STEPS), (-0.5, ["a boat"] * STEPS), (1.25, ["mist"] * STEPS)]),
    "unguided": ("a lake :0.7 AND dawn :0.6", 1, [(0.7, ["a lake"] * STEPS), (0.6, ["dawn"] * STEPS)]),
    "alone": ("a lake at dawn :0.5", 5, [(0.5, ["a lake at dawn"] * STEPS)]),
    "turns": ("an [old:new:0.5] bridge AND [a lake|a boat] :0.6", 4,
              [(1, ["an old bridge", "an new bridge"]), (0.6, ["a lake", "a boat"])]),
}
READ = ["a", "a AND b", "a :1.5 AND b:-2", "a: .5 AND b :2.", "a AND", "AND", "aAND b ANDROID AND_c", "a\nAND\nb :3\n", "ratio 16:9",
        "(a:1.2) AND [b:c:0.5]", "a : AND b ::2", "a :1e3 AND b :+0.25", "a :1.2.3", "x AND y AND z : 0 "]


def read(prompt):
    parts = []
    for part in re.compile(r"\bAND\b").split(prompt):
        text, weight = re.search(r"^((?:\s|.)*?)(?:\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+)))?\s*$", part).groups()
        parts.append([text, float(weight) if weight is not None else 1.0])
    return parts


@torch.no_grad()
def main(fixtures, out):
    torch.set_num_threads(1)
    cases, tensors = [], {}
    for kind in ("sd15", "sd21", "sdxl"):
        folder = f"{fixtures}/{kind}-tiny"
        names = ["", "_2"] if kind == "sdxl" else [""]
        tokenizers = [CLIPTokenizer.from_pretrained(f"{folder}/tokenizer{n}") for n in names]
        classes = [CLIPTextModel, CLIPTextModelWithProjection]
        encoders = [classes[i].from_pretrained(f"{folder}/text_encoder{n}").float().eval() for i, n in enumerate(names)]
        unet = UNet2DConditionModel.from_pretrained(f"{folder}/unet").float().eval()
        exact = UNet2DConditionModel.from_pretrained(f"{folder}/unet", torch_dtype=torch.float64).eval()
        vae = AutoencoderKL.from_pretrained(f"{folder}/vae")
        side = unet.config.sample_size
        pixels = float(side * 2 ** (len(vae.config.block_out_channels) - 1))

        def encode(text):
            ids = [t(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids for t in tokenizers]
            if kind != "sdxl":
                return encoders[0](ids[0]).last_hidden_state, None
            found = [e(x, output_hidden_states=True) for e, x in zip(encoders, ids)]
            return torch.cat([o.hidden_states[-2] for o in found], -1), found[1].text_embeds

        known = {}

        def run(name, noise, kind_):
            prompt, guidance, parts = CASES[name]
            net = unet if kind_ == torch.float32 else exact

            def predict(x, t, text):
                if text not in known:
                    known[text] = encode(text)
                context, pooled = known[text]
                more = {}
                if pooled is not None:
                    ids = torch.tensor([[pixels, pixels, 0, 0, pixels, pixels]], dtype=kind_)
                    more = {"added_cond_kwargs": {"text_embeds": pooled.to(kind_), "time_ids": ids}}
                return net(x, t, context.to(kind_), **more).sample

            scheduler = DDIMScheduler.from_pretrained(f"{folder}/scheduler", clip_sample=False)
            scheduler.set_timesteps(STEPS)
            x = noise.to(kind_)
            for i, t in enumerate(scheduler.timesteps):
                uncond = predict(x, t, NEGATIVE)
                total = uncond
                for weight, texts in parts:
                    total = total + guidance * weight * (predict(x, t, texts[i]) - uncond)
                x = scheduler.step(total, t, x).prev_sample
            return x

        for name in CASES:
            if kind != "sd15" and name not in ("two", "away"):
                continue
            for seed in range(7, 60):
                noise = torch.randn((1, unet.config.in_channels, side, side), generator=torch.Generator().manual_seed(seed))
                single, double = run(name, noise, torch.float32), run(name, noise, torch.float64)
                error = ((single - double).abs().max() / double.std()).item()
                if error < 5e-5:
                    break
            else:
                raise SystemExit(f"{kind} {name}: no input is well conditioned")
            print(kind, name, "seed", seed, error)
            tensors[f"{kind}.{name}.base_noise"] = noise
            tensors[f"{kind}.{name}.final"] = double.float().contiguous()
            cases.append({"name": f"{kind}.{name}", "kind": kind, "prompt": CASES[name][0], "negative": NEGATIVE, "steps": STEPS,
                          "guidance": CASES[name][1], "parts": len(CASES[name][2]), "side": int(pixels)})
    json.dump({"cases": cases, "readings": [{"prompt": p, "texts": [t for t, _ in read(p)], "weights": [w for _, w in read(p)]} for p in READ]},
              open(f"{out}/composed.json", "w"), indent=1)
    save_file(tensors, f"{out}/composed.safetensors")


main(*sys.argv[1:])
