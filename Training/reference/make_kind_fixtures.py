"""Tiny models of the kinds that people use besides plain Stable Diffusion, and what Diffusers computes with them:

    /work/venv/bin/python Training/reference/make_kind_fixtures.py Tests/Fixtures Tests/Fixtures/kinds

A kind is a folder with what differs from the checkpoint that `kinds.json` names as its base: the UNet, the scheduler, the
VAE's configuration. The tests put the rest beside it. `expected.safetensors` has, for each kind,

    NAME.unet.{input,timestep,output}     a batch of two (negative prompt, prompt)
    NAME.stock.{noise,latent}             Diffusers' own pipeline, latents in and out
    NAME.stock.image                      that latent decoded, where the VAE's scaling is the point

and `original.json` the names of some of these UNets in the original layout, by `single_file.py`. `float8.json` has the numbers that
PyTorch reads in all 256 codes of both formats, as bits of float32.
"""
import json, os, sys

import diffusers
import torch
from diffusers import (AutoencoderKL, DDIMScheduler, EDMDPMSolverMultistepScheduler, EDMEulerScheduler, EulerDiscreteScheduler,
                       LCMScheduler, StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline,
                       UNet2DConditionModel)
from safetensors.torch import load_file, save_file

from demofusion_reference import Denoiser, demofusion
from make_fixtures import calibrated
from single_file import unet_name

diffusers.logging.set_verbosity_error()
PROMPT, NEGATIVE = "a lighthouse at dawn, oil painting", "blurry, low quality"
STEPS, GUIDANCE = 6, 5.0
SMALL = dict(sample_size=16, in_channels=4, out_channels=4, norm_num_groups=8)
THREE = dict(block_out_channels=(16, 24, 32), attention_head_dim=(2, 3, 4))
SD = dict(**SMALL, cross_attention_dim=32)
XL = dict(**SMALL, **THREE, cross_attention_dim=80, use_linear_projection=True, addition_embed_type="text_time",
          addition_time_embed_dim=8, projection_class_embeddings_input_dim=48 + 6 * 8,
          down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
          up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))
FOUR = dict(block_out_channels=(16, 24, 32, 32), attention_head_dim=4)
CROSS = dict(down_block_types=("CrossAttnDownBlock2D",) * 3, up_block_types=("CrossAttnUpBlock2D",) * 3)

UNETS = {
    # BK-SDM: half of the blocks; small lacks the middle block, tiny also the coarsest level. tiny-sd is the latter's
    # sibling.
    "bk-base": ("sd15", dict(**SD, **FOUR, layers_per_block=1)),
    "bk-small": ("sd15", dict(**SD, **FOUR, layers_per_block=1, mid_block_type=None)),
    "bk-tiny": ("sd15", dict(**SD, block_out_channels=(16, 24, 32), attention_head_dim=4, layers_per_block=1, mid_block_type=None, **CROSS)),
    "lcm": ("sd15", dict(**SD, **FOUR, layers_per_block=1, time_cond_proj_dim=16)),
    "lcm-xl": ("sdxl", dict(**XL, layers_per_block=1, time_cond_proj_dim=18)),
    # SSD-1B and Segmind-Vega: different numbers of transformer blocks in the attention layers, and half of the middle
    # block.
    "ssd": ("sdxl", dict(**XL, layers_per_block=2, mid_block_type="UNetMidBlock2D", transformer_layers_per_block=[1, [2, 2], [4, 4]],
                         reverse_transformer_layers_per_block=[[4, 4, 5], [2, 1, 1], 1])),
    "vega": ("sdxl", dict(**XL, layers_per_block=2, mid_block_type="UNetMidBlock2D", transformer_layers_per_block=[1, [1, 1], [2, 2]],
                          reverse_transformer_layers_per_block=[[2, 2, 2], [1, 1, 1], 1])),
    "koala": ("sdxl", dict(**XL, layers_per_block=1, mid_block_type=None, transformer_layers_per_block=[0, 2, 3])),
    "refiner": ("sdxl", dict(**SMALL, block_out_channels=(16, 24, 32, 32), attention_head_dim=(2, 3, 4, 4), cross_attention_dim=48,
                             layers_per_block=1, transformer_layers_per_block=2, use_linear_projection=True, addition_embed_type="text_time",
                             addition_time_embed_dim=8, projection_class_embeddings_input_dim=48 + 5 * 8,
                             down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                             up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))),
}


def embedding(width, guidance):
    return StableDiffusionPipeline.get_guidance_scale_embedding(None, torch.tensor([guidance - 1.0] * 2), embedding_dim=width)


def condition(kind, name, fixture, config):
    context = torch.cat([fixture["negative_prompt_embeds"], fixture["prompt_embeds"]])
    added = None
    if kind == "sdxl":
        ids = fixture["unet.time_ids"]
        if name == "refiner":
            context, ids = context[..., 32:], torch.tensor([[128.0, 128, 24, 40, 2.5], [256, 384, 0, 16, 6]])
        added = {"text_embeds": torch.cat([fixture["negative_pooled"], fixture["pooled"]]), "time_ids": ids}
    width = config.get("time_cond_proj_dim")
    return dict(encoder_hidden_states=context, added_cond_kwargs=added, timestep_cond=width and embedding(width, GUIDANCE))


def pipeline(kind, folder, **parts):
    cls = StableDiffusionXLPipeline if kind == "sdxl" else StableDiffusionPipeline
    pipe = cls.from_pretrained(f"{folder}/{kind}-tiny", torch_dtype=torch.float32, **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def stock(pipe, noise, guidance=GUIDANCE, **more):
    return pipe(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=guidance, latents=noise, height=128, width=128,
                output_type="latent", **more).images


class Ensemble(Denoiser):
    """A base model and, below a timestep, its refiner."""

    def __init__(self, base, refiner, start):
        super().__init__(*base)
        self.own, self.refiner, self.start = base, Denoiser(*refiner), start

    def __call__(self, x, t, crop=None):
        if float(t) >= round(1000 - self.start * 1000):
            return super().__call__(x, t, crop)
        r, (top, left) = self.refiner, crop or (0, 0)
        height, width = self.time_ids[:2].tolist()
        ids = torch.tensor([[height, width, top, left, 2.5], [height, width, top, left, 6.0]])
        out = r.unet(x.repeat(2, 1, 1, 1), t, encoder_hidden_states=r.embeds, added_cond_kwargs={"text_embeds": r.pooled, "time_ids": ids}).sample
        return out[:1] + self.guidance * (out[1:] - out[:1])


def refined(folder, out, T, unet):
    """The ensemble of SDXL's base model and its refiner, by Diffusers' two pipelines and by DemoFusion's reference."""
    start = 0.6
    base = pipeline("sdxl", folder)
    both = dict(vae=base.vae, unet=unet, scheduler=EulerDiscreteScheduler.from_config(base.scheduler.config))
    refiner = StableDiffusionXLImg2ImgPipeline(text_encoder=None, tokenizer=None, text_encoder_2=base.text_encoder_2, tokenizer_2=base.tokenizer_2,
                                               **both, requires_aesthetics_score=True, force_zeros_for_empty_prompt=False, add_watermarker=False)
    refiner.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 16, 16)
    half = stock(base, noise, denoising_end=start)
    T["refiner.stock.noise"] = noise
    T["refiner.stock.latent"] = refiner(PROMPT, negative_prompt=NEGATIVE, image=half, num_inference_steps=STEPS, denoising_start=start,
                                        guidance_scale=GUIDANCE, output_type="latent").images
    assert (T["refiner.stock.latent"] - stock(base, noise)).abs().mean() > 0.05
    p, n, pp, np_ = base.encode_prompt(prompt=PROMPT, negative_prompt=NEGATIVE, device="cpu", do_classifier_free_guidance=True)
    rp, rn, rpp, rnp = refiner.encode_prompt(prompt=PROMPT, negative_prompt=NEGATIVE, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True)
    ensemble = Ensemble((base.unet, p, n, pp, np_, torch.tensor([256.0, 256, 0, 0, 256, 256]), GUIDANCE), (unet, rp, rn, rpp, rnp), start)
    import random
    phase, draw, jitter = torch.randn(1, 4, 32, 32), random.Random(5), []
    def drawn(lo, hi):
        jitter.append(draw.randint(lo, hi)); return jitter[-1]
    finals = demofusion(ensemble, base.scheduler, noise, {2: phase}, [(2, 32, 32)], 16, 8, 8, drawn, steps=STEPS)
    T["refiner.run.phase_noise.2"], T["refiner.run.jitter"] = phase, torch.tensor(jitter, dtype=torch.int32)
    T["refiner.run.final"] = finals[-1]
    json.dump({"_class_name": "StableDiffusionXLImg2ImgPipeline", "requires_aesthetics_score": True, "force_zeros_for_empty_prompt": False,
               "text_encoder": [None, None], "tokenizer": [None, None]}, open(f"{out}/refiner/model_index.json", "w"), indent=1)
    return start


def playground(folder, out, T):
    """SDXL's UNet as if it had been trained in EDM's formulation, on normalised latents."""
    scaling = dict(scaling_factor=0.5, latents_mean=[-1.6574, 0.886, -1.383, 2.5155], latents_std=[8.4927, 5.9022, 6.5498, 5.2299])
    vae = AutoencoderKL.from_pretrained(f"{folder}/sdxl-tiny/vae", torch_dtype=torch.float32)
    os.makedirs(f"{out}/playground/vae", exist_ok=True)
    config = json.load(open(f"{folder}/sdxl-tiny/vae/config.json")) | scaling
    json.dump(config, open(f"{out}/playground/vae/config.json", "w"), indent=1)
    vae.register_to_config(**scaling)
    runs = {
        "dpmpp_2m": EDMDPMSolverMultistepScheduler(), "euler": EDMEulerScheduler(),
        "dpmpp_3m": EDMDPMSolverMultistepScheduler(solver_order=3), "exponential": EDMEulerScheduler(sigma_schedule="exponential"),
        "velocity": EDMDPMSolverMultistepScheduler(prediction_type="v_prediction", final_sigmas_type="sigma_min"),
    }
    runs["dpmpp_2m"].save_pretrained(f"{out}/playground/scheduler")
    noise = torch.randn(1, 4, 16, 16)
    T["playground.stock.noise"] = noise
    for name, scheduler in runs.items():
        pipe = pipeline("sdxl", folder, scheduler=scheduler, vae=vae)
        latent = stock(pipe, noise)
        T[f"playground.{name}.latent"] = latent
        T[f"playground.{name}.timesteps"] = scheduler.timesteps.float()
        if name == "dpmpp_2m":
            s = vae.config
            mean, std = (torch.tensor(s[k]).view(1, 4, 1, 1) for k in ("latents_mean", "latents_std"))
            T["playground.stock.latent"] = latent
            T["playground.stock.image"] = vae.decode(latent * std / s.scaling_factor + mean).sample
            image = torch.rand(1, 3, 32, 32) * 2 - 1
            T["playground.vae.image"] = image
            T["playground.vae.latent"] = (vae.encode(image).latent_dist.mean - mean) * s.scaling_factor / std


def main():
    folder, out = sys.argv[1:3]
    torch.set_grad_enabled(False)
    torch.manual_seed(18)
    os.makedirs(out, exist_ok=True)
    T, kinds, original = {}, {}, {}
    for name, (kind, config) in UNETS.items():
        fixture = load_file(f"{folder}/expected/{kind}.safetensors")
        unet = UNet2DConditionModel(**config)
        with torch.no_grad():
            for p in unet.parameters():
                if p.ndim == 1:
                    p.add_(torch.randn_like(p) * 0.05)
        given = condition(kind, name, fixture, config)
        unet = calibrated(unet, lambda n: n(torch.randn(2, 4, 16, 16), torch.tensor(500), **given).sample, unet.conv_out)
        unet.half().save_pretrained(f"{out}/{name}/unet")
        unet = unet.float()
        x, t = torch.randn(2, 4, 16, 24), torch.tensor(481.0)
        T[f"{name}.unet.input"], T[f"{name}.unet.timestep"] = x, t[None]
        T[f"{name}.unet.output"] = unet(x, t, **given).sample
        kinds[name] = dict(base=f"{kind}-tiny", steps=STEPS, guidance=GUIDANCE, prompt=PROMPT, negative=NEGATIVE)
        if name in ("bk-base", "bk-small", "bk-tiny", "ssd", "koala", "lcm"):
            original[name] = {"time_embed.cond_proj.weight" if "cond_proj" in key else unet_name(key, unet.config): key
                              for key in unet.state_dict()}
        if name == "refiner":
            kinds[name]["start"] = refined(folder, out, T, unet)
            continue
        scheduler = None
        if name == "lcm":
            # The pipeline would change an offset of 0 to 1.
            lcm = LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000, steps_offset=1)
            lcm.save_pretrained(f"{out}/{name}/scheduler")
            scheduler = DDIMScheduler.from_config(lcm.config)
            json.dump({"_class_name": "LatentConsistencyModelPipeline"}, open(f"{out}/{name}/model_index.json", "w"))
        pipe = pipeline(kind, folder, unet=unet, **({"scheduler": scheduler} if scheduler else {}))
        noise = torch.randn(1, 4, 16, 16)
        T[f"{name}.stock.noise"], T[f"{name}.stock.latent"] = noise, stock(pipe, noise)
    playground(folder, out, T)
    kinds["playground"] = dict(base="sdxl-tiny", steps=STEPS, guidance=GUIDANCE, prompt=PROMPT, negative=NEGATIVE)
    save_file({k: t.clone().contiguous() for k, t in T.items()}, f"{out}/expected.safetensors")
    for file, value in (("kinds", kinds), ("original", original)):
        json.dump(value, open(f"{out}/{file}.json", "w"), indent=1 if file == "kinds" else None)
    codes = torch.arange(256, dtype=torch.uint8)
    bits = {name: codes.view(dtype).float().view(torch.int32).tolist()
            for name, dtype in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2))}
    json.dump(bits, open(f"{out}/float8.json", "w"))
    # Weights as PyTorch rounds them to eight bits, and as ComfyUI scales them before that.
    weight = torch.randn(6, 5)
    scale = weight.abs().max() / 448
    save_file({"a.weight": weight.to(torch.float8_e4m3fn), "b.weight": weight.to(torch.float8_e5m2), "scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn),
               "c.weight": (weight / scale).to(torch.float8_e4m3fn), "c.scale_weight": scale[None], "c.scale_input": torch.ones(1)}, f"{out}/float8.safetensors")
    save_file({"a": weight.to(torch.float8_e4m3fn).float(), "b": weight.to(torch.float8_e5m2).float(),
               "c": (weight / scale).to(torch.float8_e4m3fn).float() * scale}, f"{out}/float8-expected.safetensors")


if __name__ == "__main__":
    main()
