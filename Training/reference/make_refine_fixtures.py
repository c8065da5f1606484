"""Whole runs of refinement on the tiny checkpoints of make_fixtures.py: `expected/refine-KIND.safetensors` and `.json`.

    python make_refine_fixtures.py ../../Tests/Fixtures

Phase 1 is the recorded one of make_fixtures.py's run `2x`, so only what comes after it is new.
"""
import json
import random
import sys

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from refine_reference import refine

torch.set_grad_enabled(False)
out = sys.argv[1]
RUNS = {
    "square": dict(sizes=[(2, 32, 32)], stride=8, start=0.25, steps=2, noise=0.3, guidance=1.5),
    "unguided": dict(sizes=[(2, 32, 32)], stride=8, start=0.4, steps=1, noise=0.0, guidance=1.0),
    "two_stages": dict(sizes=[(2, 32, 32), (3, 48, 48)], stride=12, start=0.1, steps=3, noise=0.7, guidance=4.0),
}
for kind in ("sd15", "sd21", "sdxl"):
    pipe = DiffusionPipeline.from_pretrained(f"{out}/{kind}-tiny", torch_dtype=torch.float32)
    given, settings = load_file(f"{out}/expected/{kind}.safetensors"), json.load(open(f"{out}/expected/{kind}.json"))
    T, meta = {}, {"prompt": settings["prompt"], "negative": settings["negative"], "checkpoint": f"{kind}-tiny",
                   "phase1": settings["run.2x"] | {"steps": settings["run.2x"]["steps"]}}
    embeds = torch.cat([given["negative_prompt_embeds"], given["prompt_embeds"]])
    pooled = torch.cat([given["negative_pooled"], given["pooled"]]) if "pooled" in given else None
    for name, run in RUNS.items():
        jit, log = random.Random(7), []
        def jitter(lo, hi):
            log.append(jit.randint(lo, hi)); return log[-1]
        last = run["sizes"][-1]
        target = torch.tensor([last[1] * 8.0, last[2] * 8.0])
        def denoise(x, t, crop, guidance):
            ids = torch.cat([target, torch.tensor([float(c) for c in crop]), target])
            both = guidance > 1
            added = None if pooled is None else {"text_embeds": pooled if both else pooled[1:],
                                                 "time_ids": ids[None].repeat(2 if both else 1, 1)}
            text = embeds if both else embeds[1:]
            o = pipe.unet(x.repeat(len(text), 1, 1, 1), t, encoder_hidden_states=text, added_cond_kwargs=added).sample
            return o[:1] + guidance * (o[1:] - o[:1]) if both else o
        noise = {s: torch.randn(1, 4, h, w, generator=torch.Generator().manual_seed(s)) for s, h, w in run["sizes"]}
        # SDXL's ids hold the size of the target, so that phase 1 of another target is another one.
        base = given["run.2x.base_noise"]
        if pooled is not None and last[0] != 2:
            x, ids = base, torch.cat([target, torch.zeros(2), target])[None].repeat(2, 1)
            pipe.scheduler.set_timesteps(settings["run.2x"]["steps"])
            x = x * pipe.scheduler.init_noise_sigma
            for t in pipe.scheduler.timesteps:
                o = pipe.unet(pipe.scheduler.scale_model_input(x, t).repeat(2, 1, 1, 1), t, encoder_hidden_states=embeds,
                              added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}).sample
                x = pipe.scheduler.step(o[:1] + settings["run.2x"]["guidance"] * (o[1:] - o[:1]), t, x).prev_sample
            first = x
        else:
            first = given["run.2x.final.0"]
        finals = refine(denoise, pipe.vae, pipe.scheduler, first, noise, run["sizes"], 16, run["stride"],
                        jitter, run["start"], run["steps"], run["noise"], run["guidance"])
        T[f"{name}.base_noise"] = base
        for s, n in noise.items():
            T[f"{name}.phase_noise.{s}"] = n
        T[f"{name}.jitter"] = torch.tensor(log, dtype=torch.int32)
        for k, f in enumerate([first] + finals):
            T[f"{name}.final.{k}"] = f
        T[f"{name}.image"] = pipe.vae.decode(finals[-1] / pipe.vae.config.scaling_factor).sample
        meta[name] = run
    save_file({k: t.clone().contiguous() for k, t in T.items()}, f"{out}/expected/refine-{kind}.safetensors")
    json.dump(meta, open(f"{out}/expected/refine-{kind}.json", "w"), indent=1)
    print(kind, len(T), "tensors")
