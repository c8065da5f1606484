"""Whole runs of refinement on the tiny checkpoints of make_fixtures.py: `expected/refine-KIND.safetensors` and `.json`.

    OMP_NUM_THREADS=1 python make_refine_fixtures.py ../../Tests/Fixtures

Phase 1 is the recorded one of make_fixtures.py's run `2x`, so only what comes after it is new. Few-step models have
weights of the same shapes as others; only the schedule and the guidance scale of 1 are theirs, which the last runs of sd15 use.
"""
import hashlib
import json
import random
import sys

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from refine_reference import ENDS, refine

torch.set_grad_enabled(False)
out = sys.argv[1]
SEED = 0


def run(**changes):
    return dict(sizes=[(2, 32, 32)], stride=8, start=0.25, steps=2, noise=0.3, guidance=1.5, scheduler="ddim") | changes


RUNS = {
    "sd15": {
        "square": run(),
        "lightning": run(scheduler="euler", guidance=1.0),
        "turbo": run(scheduler="euler_a", guidance=1.0),
        "lcm": run(scheduler="lcm", guidance=1.0),
        "lcm_in_one": run(scheduler="lcm", guidance=1.0, steps=1),
        "hyper": run(scheduler="ddim", guidance=1.0, steps=1),
        "sgm_uniform": run(scheduler="sgm_uniform", guidance=1.0),
        "multistep": run(scheduler="dpmpp_2m", steps=3),
    },
    "sd21": {"square": run(), "unguided": run(start=0.4, steps=1, noise=0.0, guidance=1.0)},
    "sdxl": {"square": run(scheduler="euler"),
             "two_stages": run(sizes=[(2, 32, 32), (3, 48, 48)], stride=12, start=0.1, steps=3, noise=0.7, guidance=4.0)},
}


def generators(scale, step):
    """The stream of random numbers that the program keys by (seed, purpose, phase, step)."""
    digest = hashlib.blake2b(f"{SEED}/step/{1000 * scale}/{step}".encode(), digest_size=16).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") - (1 << 64 if digest[0] > 127 else 0))


for kind, runs in RUNS.items():
    pipe = DiffusionPipeline.from_pretrained(f"{out}/{kind}-tiny", torch_dtype=torch.float32)
    given, settings = load_file(f"{out}/expected/{kind}.safetensors"), json.load(open(f"{out}/expected/{kind}.json"))
    recorded = settings["run.2x"]
    T, meta = {}, {"prompt": settings["prompt"], "negative": settings["negative"], "checkpoint": f"{kind}-tiny",
                   "steps": recorded["steps"], "guidance": recorded["guidance"], "runs": {}}
    embeds = torch.cat([given["negative_prompt_embeds"], given["prompt_embeds"]])
    pooled = torch.cat([given["negative_pooled"], given["pooled"]]) if "pooled" in given else None
    T["base_noise"] = given["run.2x.base_noise"]
    for scale, side in ((2, 32), (3, 48)):
        if any(scale == s for r in runs.values() for s, _, _ in r["sizes"]):
            T[f"phase_noise.{scale}"] = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(scale))
    for name, r in runs.items():
        jit, log = random.Random(7), []

        def jitter(lo, hi):
            log.append(jit.randint(lo, hi))
            return log[-1]

        last = r["sizes"][-1]
        target = torch.tensor([last[1] * 8.0, last[2] * 8.0])

        def predict(x, t, ids, guidance):
            both = guidance > 1
            added = None if pooled is None else {"text_embeds": pooled if both else pooled[1:],
                                                 "time_ids": ids[None].repeat(2 if both else 1, 1)}
            text = embeds if both else embeds[1:]
            o = pipe.unet(x.repeat(len(text), 1, 1, 1), t, encoder_hidden_states=text, added_cond_kwargs=added).sample
            return o[:1] + guidance * (o[1:] - o[:1]) if both else o

        def denoise(x, t, crop, guidance):
            return predict(x, t, torch.cat([target, torch.tensor([float(c) for c in crop]), target]), guidance)

        first = given["run.2x.final.0"]
        # SDXL's ids contain the size of the target, so phase 1 differs for another target.
        if pooled is not None and last[0] != 2:
            pipe.scheduler.set_timesteps(recorded["steps"])
            first = T["base_noise"] * pipe.scheduler.init_noise_sigma
            for t in pipe.scheduler.timesteps:
                o = predict(pipe.scheduler.scale_model_input(first, t), t, torch.cat([target, torch.zeros(2), target]), recorded["guidance"])
                first = pipe.scheduler.step(o, t, first).prev_sample
        trace = {} if (kind, name) == ("sd21", "square") else None
        finals = refine(denoise, pipe.vae, pipe.scheduler, ENDS[r["scheduler"]](pipe.scheduler, r["start"], r["steps"]), first,
                        {s: T[f"phase_noise.{s}"] for s, _, _ in r["sizes"]}, r["sizes"], 16, r["stride"], jitter, r["noise"],
                        r["guidance"], generators, trace)
        T[f"{name}.jitter"] = torch.tensor(log, dtype=torch.int32)
        T |= {f"{name}.trace.{k}": v for k, v in (trace or {}).items()}
        if name in ("square", "two_stages"):
            T[f"{name}.final.0"] = first
        T |= {f"{name}.final.{k + 1}": f for k, f in enumerate(finals)}
        meta["runs"][name] = r
    save_file({k: t.clone().contiguous() for k, t in T.items()}, f"{out}/expected/refine-{kind}.safetensors")
    json.dump(meta, open(f"{out}/expected/refine-{kind}.json", "w"), indent=1)
    print(kind, len(T), "tensors")
