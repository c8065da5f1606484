"""Trains the UNet on cached latents with captions drawn anew each time. Resumable.

    python train_unet.py --latents /path/latents --text /path/text --state /path/unet --minutes 70 --total-minutes 70

v-prediction with zero terminal SNR and min-SNR weighting; one in nine samples has no prompt (zeros,
as SDXL's `force_zeros_for_empty_prompt`).
"""

import argparse
import glob
import json
import os
import time

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from captions import caption

UNET = dict(
    sample_size=32, in_channels=4, out_channels=4, block_out_channels=(64, 128, 256), layers_per_block=1,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 1, 1), attention_head_dim=(2, 4, 8), cross_attention_dim=96 + 128, use_linear_projection=True,
    addition_embed_type="text_time", addition_time_embed_dim=32, projection_class_embeddings_input_dim=128 + 6 * 32,
)
SCHEDULER = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                 prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, set_alpha_to_one=True)


class Text:
    """Both frozen encoders: captions to SDXL's context [n, 77, 224] and pooled embedding [n, 128]."""

    def __init__(self, folder):
        self.tok = [CLIPTokenizer.from_pretrained(f"{folder}/tokenizer"), CLIPTokenizer.from_pretrained(f"{folder}/tokenizer_2")]
        self.models = [CLIPTextModel.from_pretrained(f"{folder}/text_encoder").float().eval(),
                       CLIPTextModelWithProjection.from_pretrained(f"{folder}/text_encoder_2").float().eval()]

    @torch.no_grad()
    def __call__(self, texts):
        hidden = []
        for tok, model in zip(self.tok, self.models):
            ids = tok(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
            out = model(ids, output_hidden_states=True)
            hidden.append(out.hidden_states[-2])
        return torch.cat(hidden, -1), out.text_embeds


class Latents:
    def __init__(self, folder, seed):
        self.folder, self.rng, self.names, self.shards = folder, np.random.default_rng(seed), set(), []

    def refresh(self):
        for f in sorted(glob.glob(f"{self.folder}/*.npz")):
            if f not in self.names and ".tmp" not in f:
                self.names.add(f)
                s = np.load(f)
                self.shards.append((s["latents"], s["ids"], json.loads(str(s["attributes"]))))

    def batch(self, n):
        latents, ids, attributes = self.shards[self.rng.integers(len(self.shards))]
        pick = self.rng.integers(len(latents), size=n)
        return (torch.from_numpy(latents[pick].astype(np.float32)), torch.from_numpy(ids[pick]),
                [caption(attributes[i], self.rng) for i in pick])


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--latents", required=True)
    a.add_argument("--text", required=True)
    a.add_argument("--state", required=True)
    a.add_argument("--minutes", type=float, default=70)
    a.add_argument("--total-minutes", type=float, default=70)
    a.add_argument("--batch", type=int, default=32)
    a.add_argument("--rate", type=float, default=5e-4)
    a.add_argument("--compile", action="store_true")
    a = a.parse_args()
    os.makedirs(a.state, exist_ok=True)
    torch.manual_seed(int(time.time()))
    torch.set_num_threads(2)
    unet = UNet2DConditionModel(**UNET).to(memory_format=torch.channels_last)
    ema = UNet2DConditionModel(**UNET).requires_grad_(False)
    ema.load_state_dict(unet.state_dict())
    opt = torch.optim.AdamW(unet.parameters(), lr=a.rate, betas=(0.9, 0.99), weight_decay=0.01)
    state = dict(step=0, samples=0, minutes=0.0, curve=[])
    path = f"{a.state}/state.pt"
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False)
        unet.load_state_dict(saved["unet"]), ema.load_state_dict(saved["ema"]), opt.load_state_dict(saved["opt"])
        state = saved["state"]
    print(sum(p.numel() for p in unet.parameters()) / 1e6, "M parameters, from step", state["step"], flush=True)
    text, data = Text(a.text), Latents(a.latents, int(time.time()))
    acp = DDIMScheduler(**SCHEDULER).alphas_cumprod.float()
    start = last = time.time()
    began, losses = state["minutes"], []

    def save():
        torch.save(dict(unet=unet.state_dict(), ema=ema.state_dict(), opt=opt.state_dict(), state=state), path + ".tmp")
        os.rename(path + ".tmp", path)
        json.dump(state["curve"], open(f"{a.state}/curve.json", "w"))

    while time.time() - start < a.minutes * 60:
        if state["step"] % 100 == 0:
            data.refresh()
        progress = min(1, state["minutes"] / a.total_minutes)
        rate = a.rate * min(1, (state["step"] + 1) / 200) * (0.03 + 0.97 * 0.5 * (1 + np.cos(np.pi * progress)))
        for group in opt.param_groups:
            group["lr"] = rate
        z, ids, texts = data.batch(a.batch)
        context, pooled = text(texts)
        dropped = torch.rand(len(z)) < 0.11
        context[dropped], pooled[dropped] = 0, 0
        t = ((torch.arange(len(z)) + torch.rand(len(z))) / len(z) * 1000).long().clamp(0, 999)[torch.randperm(len(z))]
        alpha = acp[t][:, None, None, None]
        noise = torch.randn_like(z)
        noised = alpha.sqrt() * z + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * z
        with torch.autocast("cpu", torch.bfloat16):
            out = unet(noised.contiguous(memory_format=torch.channels_last), t, encoder_hidden_states=context,
                       added_cond_kwargs=dict(text_embeds=pooled, time_ids=ids)).sample
        error = (out.float() - target).pow(2).mean((1, 2, 3))
        snr = (alpha / (1 - alpha)).flatten()
        weight = snr.clamp(max=5) / (snr + 1)
        # Zero terminal SNR gives the first step no weight at all above: it sets the colours, so keep some.
        loss = (error * weight.clamp(min=0.15)).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        opt.step()
        state["step"] += 1
        state["samples"] += len(z)
        decay = min(0.9990, (1 + state["step"]) / (10 + state["step"]))
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(unet.parameters()), 1 - decay)
        state["minutes"] = began + (time.time() - start) / 60
        losses.append(error.mean().item())
        if state["step"] % 50 == 0:
            state["curve"].append((state["step"], state["samples"], state["minutes"], float(np.mean(losses[-50:]))))
            print(f"step {state['step']} samples {state['samples']} {state['minutes']:.1f} min  error {np.mean(losses[-50:]):.4f}  "
                  f"{len(losses) * a.batch / (time.time() - start):.1f} samples/s  lr {rate:.1e}", flush=True)
        if time.time() - last > 150:
            save()
            last = time.time()
    save()


if __name__ == "__main__":
    main()
