"""Trains the two text encoders to predict a scene's attributes from a caption; then they are frozen.

    python train_text.py --out /path/text --minutes 5 --begin-from ../Models/vista

Each learns every attribute from its last layer (pooled) and from its penultimate layer, the one
that SDXL's cross-attention reads.
"""

import argparse
import json
import shutil
import time

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from captions import caption
from landscapes import LAYOUTS, SCENES, SEASONS, TIMES, Scene
from trainer import DEVICE
from vocabulary import write_tokenizer

HEADS = dict(scene=SCENES, time=TIMES, season=SEASONS, body=("none", "sun", "moon"), clouds=("clear", "some", "cloudy"),
             backdrop=("none", "mountains", "forest", "island", "river", "hills"), stars=(False, True), flowers=(False, True), layout=LAYOUTS)
# Attributes that a caption omits are learnt as the average over matching scenes, as intended.


def encoders(vocabulary):
    common = dict(vocab_size=vocabulary, bos_token_id=vocabulary - 2, eos_token_id=2, num_hidden_layers=3, num_attention_heads=4)
    one = CLIPTextModel(CLIPTextConfig(hidden_size=96, intermediate_size=384, hidden_act="quick_gelu", projection_dim=96, **common))
    two = CLIPTextModelWithProjection(CLIPTextConfig(hidden_size=128, intermediate_size=512, hidden_act="gelu", projection_dim=128, **common))
    for m in (one, two):
        torch.nn.init.normal_(m.get_input_embeddings().weight, 0, 0.3)
    return one, two


class Heads(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.heads = torch.nn.ModuleDict({k: torch.nn.Linear(width, len(v)) for k, v in HEADS.items()})

    def loss(self, x, labels):
        return sum(F.cross_entropy(h(x), labels[k]) for k, h in self.heads.items())


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--out", required=True)
    a.add_argument("--minutes", type=float, default=5)
    a.add_argument("--begin-from", help="a model folder whose tokenizers and text encoders to begin from")
    a.add_argument("--rate", type=float, default=1e-3)
    a.add_argument("--batch", type=int, default=128)
    a = a.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(5)
    if a.begin_from:
        for name in ("tokenizer", "tokenizer_2"):
            shutil.copytree(f"{a.begin_from}/{name}", f"{a.out}/{name}", dirs_exist_ok=True)
        tok1, tok2 = (CLIPTokenizer.from_pretrained(f"{a.out}/{name}") for name in ("tokenizer", "tokenizer_2"))
        one = CLIPTextModel.from_pretrained(f"{a.begin_from}/text_encoder").float()
        two = CLIPTextModelWithProjection.from_pretrained(f"{a.begin_from}/text_encoder_2").float()
    else:
        tok1 = write_tokenizer(f"{a.out}/tokenizer", "<|endoftext|>")
        tok2 = write_tokenizer(f"{a.out}/tokenizer_2", "!")
        one, two = encoders(len(tok1))
    print("vocabulary", len(tok1), "parameters", [sum(p.numel() for p in m.parameters()) for m in (one, two)])
    scenes = [Scene.random(rng).attributes for _ in range(8000)]
    h1, h1p, h2, h2p = Heads(96), Heads(96), Heads(128), Heads(128)
    modules = torch.nn.ModuleList([one, two, h1, h1p, h2, h2p]).to(DEVICE)
    opt = torch.optim.AdamW(modules.parameters(), lr=a.rate, weight_decay=0.01)
    start, step, curve = time.time(), 0, []
    while (gone := (time.time() - start) / 60 / a.minutes) < 1:
        for g in opt.param_groups:
            g["lr"] = a.rate * min(1, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * gone))
        batch = [scenes[i] for i in rng.integers(len(scenes), size=a.batch)]
        texts = [caption(s, rng) for s in batch]
        labels = {k: torch.tensor([v.index(s.get(k, False)) for s in batch], device=DEVICE) for k, v in HEADS.items()}
        loss = 0
        for tok, model, head, penultimate in ((tok1, one, h1, h1p), (tok2, two, h2, h2p)):
            ids = tok(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
            # Padding past the end is never read by the pooled token: cut what the batch does not need.
            last = (ids == len(tok) - 1).int().argmax(1)
            length = int(last.max()) + 2
            out = model(ids[:, :length].to(DEVICE), output_hidden_states=True)
            pooled = out.text_embeds if hasattr(out, "text_embeds") else out.pooler_output
            hidden = out.hidden_states[-2]
            mask = (torch.arange(length)[None] <= last[:, None]).float()[..., None].to(DEVICE)
            mean = (F.layer_norm(hidden, hidden.shape[-1:]) * mask).sum(1) / mask.sum(1)
            # The pooled embedding stays near unit scale, which suits the UNet's time embedding.
            loss = loss + head.loss(pooled, labels) + penultimate.loss(mean, labels) + 0.01 * (pooled.pow(2).mean() - 1) ** 2
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        opt.step()
        step += 1
        if step % 100 == 0:
            with torch.no_grad():
                right = {k: (h2.heads[k](pooled).argmax(1) == labels[k]).float().mean().item() for k in HEADS}
            curve.append((step, loss.item()))
            print(step, f"{gone * a.minutes:.1f} min loss {loss.item():.3f}", {k: round(v, 2) for k, v in right.items()},
                  f"hidden std {hidden.std().item():.2f} pooled std {pooled.std().item():.2f}", flush=True)
    # SDXL reads the penultimate layer as it is. It is not scaled to unit size, because the UNet learns its scale.
    # Stored in half precision, used as stored.
    for name, m in (("text_encoder", one), ("text_encoder_2", two)):
        m.cpu().half().save_pretrained(f"{a.out}/{name}", safe_serialization=True)
    json.dump(curve, open(f"{a.out}/curve.json", "w"))


if __name__ == "__main__":
    main()
