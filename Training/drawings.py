"""Drawings for training, held on the device: shards are read as they appear, while training goes on.

A GPU holds all of them (a latent has 8 kB, a picture 196 kB, its encoded captions 280 kB), so that a batch is a lookup
there, and processors go on drawing while it learns.
"""

import glob
import json
import threading
import time

import numpy as np
import torch
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from latents import latents_of
from make_data import MARGIN

SCENE_WEIGHTS = {"mountains": 1.8, "city": 1.8, "desert": 1.4, "lake": 1.3}  # sampling weights: scenes with more outlines are harder


class Text:
    """Both frozen encoders: captions to SDXL's context [n, 77, 224] and pooled embedding [n, 128], in half precision."""

    def __init__(self, folder, device):
        self.device = device
        self.tok = [CLIPTokenizer.from_pretrained(f"{folder}/{name}") for name in ("tokenizer", "tokenizer_2")]
        self.models = [CLIPTextModel.from_pretrained(f"{folder}/text_encoder").float().eval().to(device),
                       CLIPTextModelWithProjection.from_pretrained(f"{folder}/text_encoder_2").float().eval().to(device)]

    @torch.no_grad()
    def __call__(self, texts):
        hidden = []
        for tok, model in zip(self.tok, self.models):
            ids = tok(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
            out = model(ids.to(self.device), output_hidden_states=True)
            hidden.append(out.hidden_states[-2])
        return torch.cat(hidden, -1).half(), out.text_embeds.half()


class Group:
    """Up to `capacity` drawings of one size: columns on the device, and the chances with which each is drawn."""

    def __init__(self, capacity, first, device):
        self.count, self.columns = 0, {n: torch.empty(capacity, *c.shape[1:], dtype=c.dtype, device=device) for n, c in first.items()}
        self.weights, self.windows, self.capacity = np.zeros(capacity), np.zeros(capacity, bool), capacity
        self.tables = None

    def add(self, columns, weights, windows):
        n = min(len(weights), self.capacity - self.count)
        to = slice(self.count, self.count + n)
        for name, column in columns.items():
            self.columns[name][to] = column[:n]
        self.weights[to], self.windows[to] = weights[:n], windows[:n]
        self.count += n
        # A single assignment, so that the other thread sees either the old table or the new one.
        self.tables = [(places, self.weights[places].cumsum()) for places in
                       (np.flatnonzero(self.windows[:self.count]), np.flatnonzero(~self.windows[:self.count]))]

    def pick(self, rng, n, share):
        """Where `n` drawings lie, about a `share` of them windows of larger pictures."""
        tables, out = self.tables, []
        first = rng.binomial(n, share) if len(tables[0][0]) else 0
        for (places, cumulative), m in zip(tables, (first, n - first)):
            if m:
                out.append(places[np.searchsorted(cumulative, rng.random(m) * cumulative[-1]).clip(0, len(places) - 1)])
        return np.concatenate(out)


class Drawings:
    """All drawings of a folder of shards. `text` encodes their captions (None: without); `pictures` keeps the pictures too."""

    def __init__(self, folder, device, text=None, pictures=False, capacity=120_000, seed=0):
        self.folder, self.text, self.device, self.pictures, self.capacity = folder, text, device, pictures, capacity
        self.rng, self.groups = np.random.default_rng(seed), {}
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        known = set()
        while True:
            for path in sorted(glob.glob(f"{self.folder}/*.npz")):
                if ".tmp" not in path and path not in known:
                    known.add(path)
                    self.add(np.load(path))
            time.sleep(0.5)

    @torch.no_grad()
    def add(self, shard):
        pictures = torch.from_numpy(shard["pictures"]).to(self.device)
        columns = dict(ids=torch.from_numpy(shard["ids"]).to(self.device), heights=torch.from_numpy(shard["heights"].astype(np.float32)).to(self.device),
                       latents=torch.cat([latents_of(p.permute(0, 3, 1, 2).float().div(127.5).sub(1)).half() for p in pictures.split(100)]))
        if self.pictures:
            columns["pictures"] = pictures
        if self.text:
            captions = json.loads(str(shard["captions"]))  # [n][variants][as drawn, mirrored]
            flat = [text for of_one in captions for pair in of_one for text in pair]
            context, pooled = (torch.cat(p) for p in zip(*[self.text(flat[i:i + 2000]) for i in range(0, len(flat), 2000)]))
            shape = (len(captions), len(captions[0]), 2)
            columns["context"], columns["pooled"] = context.view(*shape, *context.shape[1:]), pooled.view(*shape, -1)
        weights = np.array([SCENE_WEIGHTS.get(a["scene"], 1.0) for a in json.loads(str(shard["attributes"]))])
        size = tuple(columns["latents"].shape[2:])
        if size not in self.groups:
            self.groups[size] = Group(self.capacity if size[0] == size[1] else self.capacity // 8, columns, self.device)
        self.groups[size].add(columns, weights, (shard["ids"][:, 2:4] != 0).any(1))

    def count(self):
        return sum(g.count for g in list(self.groups.values()))

    def wait_for(self, count):
        while self.count() < count:
            time.sleep(0.2)

    def batch(self, n, share=0.5):
        """`n` latents, ids, contexts and pooled embeddings, a `share` of them windows, half of them mirrored. One batch in twenty is wide or tall."""
        sizes = sorted(self.groups, key=lambda s: s[0] != s[1])
        size = sizes[0] if len(sizes) == 1 or self.rng.random() < 0.95 else sizes[self.rng.integers(1, len(sizes))]
        group, rng = self.groups[size], self.rng
        onto = lambda x: torch.from_numpy(x).to(self.device, non_blocking=True)
        at = onto(group.pick(rng, n, share))
        variants = group.columns["pooled"].shape[1]
        mirrored, variant = onto(rng.random(n) < 0.5), onto(rng.integers(variants, size=n))
        c = group.columns
        z, ids = c["latents"][at].float(), c["ids"][at]
        z = torch.where(mirrored[:, None, None, None], z.flip(3), z)
        turned = ids.clone()
        turned[:, 3] = 2 * MARGIN + c["heights"][at] - 8 * z.shape[3] - ids[:, 3]
        is_window = (ids[:, 2:4] != 0).any(1)
        ids = torch.where((mirrored & is_window)[:, None], turned, ids)
        return z, ids, c["context"][at, variant, mirrored.long()].float(), c["pooled"][at, variant, mirrored.long()].float()
