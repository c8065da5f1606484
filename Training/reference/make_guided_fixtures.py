"""UNets that take a picture in addition to the latent, and renders with them by Diffusers: `inpaint/inputs.safetensors` (the first
layers of such UNets; all else is that of make_fixtures.py's checkpoints) and `inpaint/guided.{safetensors,json}`.

    OMP_NUM_THREADS=1 python make_guided_fixtures.py ../../Tests/Fixtures

Photo, mask and noise are those of make_inpaint_fixtures.py, which runs first. As there, pictures are encoded to the mean of
their distribution, and the noise is given. The pipelines are Diffusers' own.
"""
import json
import pathlib
import sys

import torch
from diffusers import (DDIMScheduler, EulerDiscreteScheduler, StableDiffusionInpaintPipeline,
                       StableDiffusionInstructPix2PixPipeline, StableDiffusionXLInpaintPipeline,
                       StableDiffusionXLInstructPix2PixPipeline, UNet2DConditionModel)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint as sd
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_inpaint as xl
from PIL import Image
from safetensors.torch import load_file, save_file

torch.set_grad_enabled(False)
fixtures = pathlib.Path(sys.argv[1])
out = fixtures / "inpaint"
SIDE, PROMPT, NEGATIVE = 128, "a lake at dawn", "snow"

DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()
noise = load_file(out / "expected.safetensors")["base_noise"]
sd.randn_tensor = xl.randn_tensor = lambda *_, **__: noise
photo, mask = Image.open(out / "photo.png").convert("RGB"), Image.open(out / "mask.png")

SCHEDULERS = {
    "ddim": lambda c: DDIMScheduler.from_config(c, clip_sample=False),
    "euler": lambda c: EulerDiscreteScheduler.from_config(c),
}
PIPELINES = {
    ("inpaint", "sd"): StableDiffusionInpaintPipeline, ("inpaint", "xl"): StableDiffusionXLInpaintPipeline,
    ("edit", "sd"): StableDiffusionInstructPix2PixPipeline, ("edit", "xl"): StableDiffusionXLInstructPix2PixPipeline,
}
# Input channels, and runs: sampler, steps, strength or image guidance scale, guidance scale.
USES = {
    "inpaint": (9, [("ddim", 6, 1.0, 3.0), ("euler", 8, 0.75, 3.0)]),
    "edit": (8, [("ddim", 6, 1.6, 3.0), ("euler", 6, 2.5, 2.0), ("ddim", 4, 1.5, 1.0)]),
}

generator = torch.Generator().manual_seed(11)
meta, tensors, inputs = {"prompt": PROMPT, "negative": NEGATIVE, "runs": []}, {"base_noise": noise}, {}
for kind in ("sd15", "sd21", "sdxl"):
    for use, (channels, runs) in USES.items():
        pipeline = PIPELINES[use, "xl" if kind == "sdxl" else "sd"]
        plain = UNet2DConditionModel.from_pretrained(fixtures / f"{kind}-tiny/unet", torch_dtype=torch.float32)
        unet = UNet2DConditionModel.from_config({**plain.config, "in_channels": channels}).eval()
        weights = plain.state_dict()
        first = weights["conv_in.weight"]
        more = torch.randn(first.shape[0], channels - 4, 3, 3, generator=generator) * first.std()
        weights["conv_in.weight"] = torch.cat([first, more], 1).half().float()
        inputs[f"{kind}.{use}"] = weights["conv_in.weight"].half().contiguous()
        unet.load_state_dict(weights)
        options = {} if kind == "sdxl" else dict(safety_checker=None, requires_safety_checker=False)
        pipe = pipeline.from_pretrained(fixtures / f"{kind}-tiny", unet=unet, torch_dtype=torch.float32, **options)
        pipe.set_progress_bar_config(disable=True)
        config = pipe.scheduler.config
        for scheduler, steps, share, guidance in runs:
            pipe.scheduler = SCHEDULERS[scheduler](config)
            own = dict(mask_image=mask, strength=share, height=SIDE, width=SIDE) if use == "inpaint" else dict(
                image_guidance_scale=share, latents=noise)
            result = pipe(prompt=PROMPT, negative_prompt=NEGATIVE, image=photo, num_inference_steps=steps,
                          guidance_scale=guidance, generator=torch.Generator().manual_seed(0), output_type="latent",
                          **own).images
            name = f"{kind}.{use}.{scheduler}.{steps}"
            tensors[name] = result.contiguous()
            meta["runs"].append({"name": name, "model": kind, "use": use, "scheduler": scheduler, "steps": steps,
                                 "share": share, "guidance": guidance})
            print(name, tuple(result.shape), float(result.std()))
save_file(inputs, out / "inputs.safetensors")
save_file(tensors, out / "guided.safetensors")
(out / "guided.json").write_text(json.dumps(meta, indent=1))
