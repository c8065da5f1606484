"""Trains the UNet on the drawings' latents, with new random captions for each batch. Resumable.

    python train_unet.py --data /path/shards --text /path/text --state /path/unet --minutes 100

Half of the samples are windows of large drawings, and every sample is mirrored half of the time. bfloat16 where the
processor multiplies it, else float32. v-prediction with zero terminal SNR; one in nine samples has no prompt (zeros,
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

import trainer
from captions import caption
from muon import FAST_BFLOAT16, Muon
from train_vae import latents_of

UNET = dict(
    sample_size=32, in_channels=4, out_channels=4, block_out_channels=(64, 96, 192), layers_per_block=1, norm_num_groups=8,
    # Attention where the picture is 8×8 and costs least; the pooled prompt reaches every block with the time.
    down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 1, 1), attention_head_dim=(2, 3, 6), cross_attention_dim=96 + 128, use_linear_projection=True,
    addition_embed_type="text_time", addition_time_embed_dim=32, projection_class_embeddings_input_dim=128 + 6 * 32,
)
SCHEDULER = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                 prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, set_alpha_to_one=True)

MARGIN = 32  # from which the ids count window origins: see make_data.py
MIRRORED = {"left": "right", "right": "left", "middle": "middle"}
SCENE_WEIGHTS = {"mountains": 1.8, "city": 1.8, "desert": 1.4, "lake": 1.3}  # sampling weights: scenes with more outlines are harder


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


class Captions:
    """Wordings of scenes, encoded: up to `variants` for each set of attributes, made on first use."""

    def __init__(self, text, rng, variants=6):
        self.text, self.rng, self.variants, self.known = text, rng, variants, {}

    def __call__(self, attributes):
        slots = []
        for a in attributes:
            known = self.known.setdefault(json.dumps(a, sort_keys=True), {})
            slots.append((known, int(self.rng.integers(self.variants)), a))
        fresh = [(known, k, a) for known, k, a in slots if k not in known]
        if fresh:
            for (known, k, _), *encoded in zip(fresh, *self.text([caption(a, self.rng) for _, _, a in fresh])):
                known[k] = [e.half() for e in encoded]
        return [torch.stack([known[k][i] for known, k, _ in slots]).float() for i in range(2)]


class Latents:
    """Every drawing's latent, its ids and what its captions tell."""

    def __init__(self, folder, seed):
        self.rng, self.shards = np.random.default_rng(seed), []
        for f in sorted(glob.glob(f"{folder}/*.npz")):
            if ".tmp" not in f:
                s, kept = np.load(f), f.replace(".npz", ".latents.npy")
                if not os.path.exists(kept):
                    latents = [latents_of(torch.from_numpy(p).permute(0, 3, 1, 2).float().div(127.5).sub(1)).half().numpy()
                               for p in np.array_split(s["pictures"], 10)]
                    np.save(kept, np.concatenate(latents))
                self.shards.append((torch.from_numpy(np.load(kept)), s["ids"], json.loads(str(s["attributes"])), s["heights"]))
        square = np.array([s[0].shape[2] == s[0].shape[3] for s in self.shards])
        # One batch in twenty is wide or tall, where there are such shards.
        self.chance = np.where(square, 1.0 if square.all() else 0.95, 1.0 if not square.any() else 0.05)
        self.chance /= np.where(square, square.sum(), (~square).sum())
        whole = [(s[1][:, 2:4] == 0).all(1) for s in self.shards]
        self.whole, self.windows = [np.flatnonzero(w) for w in whole], [np.flatnonzero(~w) for w in whole]
        self.weight = [np.array([SCENE_WEIGHTS.get(a["scene"], 1.0) for a in s[2]]) for s in self.shards]

    def pick(self, k, among, n):
        weight = self.weight[k][among]
        return self.rng.choice(among, n, p=weight / weight.sum()) if n else among[:0]

    def batch(self, n, share):
        """`n` samples, a `share` of them windows of larger pictures."""
        k = self.rng.choice(len(self.shards), p=self.chance)
        latents, ids, attributes, heights = self.shards[k]
        windows = self.rng.binomial(n, share) if len(self.windows[k]) else 0
        pick = np.concatenate([self.pick(k, self.windows[k], windows), self.pick(k, self.whole[k], n - windows)]).astype(int)
        z, ids, attributes, heights = latents[pick].float(), torch.from_numpy(ids[pick]), [attributes[i] for i in pick], heights[pick]
        for i in np.flatnonzero(self.rng.random(n) < 0.5):
            z[i] = z[i].flip(2)
            attributes[i] = attributes[i] | {"layout": MIRRORED[attributes[i]["layout"]]}
            if ids[i, 2:4].any():
                ids[i, 3] = 2 * MARGIN + float(heights[i]) - 8 * z.shape[3] - ids[i, 3]
        return z, ids, attributes


@torch.no_grad()
def make_model():
    unet = UNet2DConditionModel(**UNET).to(memory_format=torch.channels_last)
    for name, m in unet.named_modules():  # every block starts as the identity
        if name.endswith("conv2") or name.endswith("proj_out") or name == "conv_out":
            m.weight.zero_(), m.bias.zero_()
    return unet


def optimizers(unet, rate):
    matrices = [p for n, p in unet.named_parameters() if p.ndim > 1 and not n.startswith(("conv_in", "conv_out"))]
    others = [p for n, p in unet.named_parameters() if p.ndim == 1 or n.startswith(("conv_in", "conv_out"))]
    return [Muon(matrices, rate), torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.99), weight_decay=0.0)]


def make_loss(rank, a):
    data = Latents(a.data, int(time.time()) + rank)
    text, compiled = Captions(Text(a.text), data.rng), []
    acp = DDIMScheduler(**SCHEDULER).alphas_cumprod.float()
    def loss_of(unet):
        z, ids, attributes = data.batch(a.batch, 0.5)
        context, pooled = text(attributes)
        dropped = torch.rand(len(z)) < 0.11
        context[dropped], pooled[dropped] = 0, 0
        t = ((torch.arange(len(z)) + torch.rand(len(z))) / len(z) * 1000).long().clamp(0, 999)[torch.randperm(len(z))]
        alpha = acp[t][:, None, None, None]
        noise = torch.randn_like(z)
        noised = alpha.sqrt() * z + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * z
        # Compiled for the most common size, it takes 0.8 of the time; compiling for the others would not pay off.
        if not compiled:
            compiled.append(torch.compile(unet, dynamic=False) if a.compile else unet)
        network = compiled[0] if z.shape[2] == z.shape[3] else unet
        with torch.autocast("cpu", torch.bfloat16, enabled=FAST_BFLOAT16):
            out = network(noised.contiguous(memory_format=torch.channels_last), t, encoder_hidden_states=context,
                          added_cond_kwargs=dict(text_embeds=pooled, time_ids=ids)).sample.float()
        error = (out - target).pow(2).mean((1, 2, 3))
        snr = (alpha / (1 - alpha)).flatten()
        # Full weight at high noise, where layout and colours are decided; less where little noise is left.
        weight = (5 / (snr + 1)).clamp(max=1)
        return (error * weight).mean(), error.mean().item()

    return loss_of


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="folder of the shards")
    parser.add_argument("--text", required=True)
    parser.add_argument("--begin-from", help="a folder with a trained UNet to begin from")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--compile", action="store_true", help="0.8 of the time, after minutes of compiling; worth it in a long run")
    trainer.arguments(parser, minutes=80, rate=8e-4)
    a = parser.parse_args()

    def first_model():
        begun = make_model()
        if a.begin_from:
            begun.load_state_dict(UNet2DConditionModel.from_pretrained(a.begin_from).float().state_dict())
        return begun

    trainer.train(first_model, make_loss, a, optimizers=optimizers)
