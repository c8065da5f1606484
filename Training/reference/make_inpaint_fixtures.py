"""Masked renders by Diffusers on the tiny checkpoints of make_fixtures.py: `inpaint/KIND.safetensors`, `photo.png`, `mask.png`.

    OMP_NUM_THREADS=1 python make_inpaint_fixtures.py ../../Tests/Fixtures

The pipelines are Diffusers' own. Two things are pinned: the noise is given, and pictures are encoded to the mean of their
distribution, as Tessera does, not to a sample.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, DDIMScheduler, EulerDiscreteScheduler
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint as sd
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_inpaint as xl
from PIL import Image
from safetensors.torch import save_file

torch.set_grad_enabled(False)
fixtures = pathlib.Path(sys.argv[1])
out = fixtures / "inpaint"
out.mkdir(exist_ok=True)
SIDE, PROMPT, NEGATIVE = 128, "a lake at dawn", "snow"

DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()
noise = torch.randn(1, 4, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(3))
sd.randn_tensor = xl.randn_tensor = lambda *_, **__: noise

y, x = np.mgrid[:SIDE, :SIDE]
photo = np.stack([127 + 120 * np.sin(x / 17 + k) * np.cos(y / (11 + 5 * k)) for k in range(3)], -1).astype(np.uint8)
mask = np.zeros((SIDE, SIDE), np.uint8)
mask[40:104, 16:88] = 255
photo, mask = Image.fromarray(photo), Image.fromarray(mask)
photo.save(out / "photo.png")
mask.save(out / "mask.png")

SCHEDULERS = {
    # SDXL's file is for another scheduler and does not mention clipping, which Diffusers' DDIM would then do.
    "ddim": lambda c: DDIMScheduler.from_config(c, clip_sample=False), "euler": lambda c: EulerDiscreteScheduler.from_config(c),
    "dpmpp_2m": lambda c: DPMSolverMultistepScheduler.from_config(c),
}
RUNS = [("ddim", 6, 1.0), ("ddim", 8, 0.5), ("euler", 6, 1.0), ("euler", 8, 0.75), ("dpmpp_2m", 8, 0.5)]
KINDS = {"sd15": StableDiffusionInpaintPipeline, "sdxl": StableDiffusionXLInpaintPipeline}

meta = {"prompt": PROMPT, "negative": NEGATIVE, "guidance": 3.0, "runs": []}
tensors = {"base_noise": noise}
for kind, pipeline in KINDS.items():
    pipe = pipeline.from_pretrained(fixtures / f"{kind}-tiny", torch_dtype=torch.float32, safety_checker=None,
                                    requires_safety_checker=False) if kind == "sd15" else pipeline.from_pretrained(
        fixtures / f"{kind}-tiny", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    config = pipe.scheduler.config
    for scheduler, steps, strength in RUNS:
        pipe.scheduler = SCHEDULERS[scheduler](config)
        result = pipe(prompt=PROMPT, negative_prompt=NEGATIVE, image=photo, mask_image=mask, height=SIDE, width=SIDE,
                      num_inference_steps=steps, strength=strength, guidance_scale=meta["guidance"],
                      generator=torch.Generator().manual_seed(0), output_type="latent").images
        name = f"{kind}.{scheduler}.{steps}.{strength}"
        tensors[name] = result.contiguous()
        meta["runs"].append({"name": name, "model": f"{kind}-tiny", "scheduler": scheduler, "steps": steps,
                             "strength": strength})
        print(name, tuple(result.shape), float(result.std()))
save_file(tensors, out / "expected.safetensors")
(out / "expected.json").write_text(json.dumps(meta, indent=1))
