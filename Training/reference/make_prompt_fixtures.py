"""Prompts of several chunks: outputs of Transformers' text encoders and Diffusers' UNets.

    python make_prompt_fixtures.py FIXTURES OUT        OUT/prompts.json (cases), OUT/prompts.safetensors

Each prompt is cut at the word BREAK, its tokens into pieces of 75, and every piece is encoded by itself between begin and end,
padded to 77. UNets are evaluated in float64, at an input where float32 gives nearly the same: these networks of random weights
magnify the rounding of some inputs beyond any tolerance. The context is that of all pieces, one after the other, the pooled embedding that of the first. The shorter of
prompt and negative prompt gets empty pieces; no negative prompt is zeros for SDXL. The UNet sees two such contexts at once.
"""
import json, re, sys

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

WORDS = """lake dawn mountain river old stone bridge under soft golden light with mist over the water and tall pines on both
shores a small boat near a wooden pier two swans far birds in the sky snow on distant peaks reflections ripples moss lanterns
a path of pebbles wild flowers red leaves""".split()
HUNDRED = " ".join((WORDS * 3)[:100])
CASES = {  # one model each, except the first, to keep the files small
    "words": (HUNDRED, None),
    "negative": ("a lake BREAK at dawn, BREAKFAST on a pier", " ".join(WORDS * 3)),
    "breaks": ("BREAK a lake,BREAK BREAK at dawn BREAK", "no rain"),
}
ONLY = {"negative": "sdxl", "breaks": "sd15"}


def pieces(tokenizer, text):
    """Ids of text for each chunk, by section."""
    sections = [tokenizer(part, add_special_tokens=False).input_ids for part in re.split(r"\s*\bBREAK\b\s*", text)]
    if len(sections) > 1 and not sections[-1]:
        sections.pop()
    return [[ids[i:i + 75] for i in range(0, max(1, len(ids)), 75)] for ids in sections]


def cut(tokenizers, text):
    """For each tokenizer its chunks: as many in each section as the other."""
    all_ = [pieces(t, text) for t in tokenizers]
    counts = [max(map(len, sections)) for sections in zip(*all_)]
    return [[chunk for section, n in zip(sections, counts) for chunk in section + [[]] * (n - len(section))] for sections in all_]


def whole(tokenizer, chunk):
    """The ids that Transformers gives for a text of these tokens."""
    return [tokenizer.bos_token_id] + chunk + [tokenizer.eos_token_id] + [tokenizer.pad_token_id] * (75 - len(chunk))


def encode(kind, tokenizers, encoders, chunks):
    contexts, pooled = [], None
    for i in range(len(chunks[0])):
        ids = [torch.tensor([whole(t, c[i])]) for t, c in zip(tokenizers, chunks)]
        if kind != "sdxl":
            contexts.append(encoders[0](ids[0]).last_hidden_state)
            continue
        out = [e(x, output_hidden_states=True) for e, x in zip(encoders, ids)]
        contexts.append(torch.cat([o.hidden_states[-2] for o in out], -1))
        pooled = out[1].text_embeds if pooled is None else pooled
    return torch.cat(contexts, 1), pooled


@torch.no_grad()
def main(fixtures, out):
    cases, tensors = {}, {}
    for kind in ("sd15", "sd21", "sdxl"):
        folder = f"{fixtures}/{kind}-tiny"
        names = ["", "_2"] if kind == "sdxl" else [""]
        tokenizers = [CLIPTokenizer.from_pretrained(f"{folder}/tokenizer{n}") for n in names]
        classes = [CLIPTextModel, CLIPTextModelWithProjection]
        encoders = [classes[i].from_pretrained(f"{folder}/text_encoder{n}").float().eval() for i, n in enumerate(names)]
        unet = UNet2DConditionModel.from_pretrained(f"{folder}/unet").float().eval()
        for t in tokenizers:  # for a prompt of one chunk the ids are those of Transformers
            plain = t("a lake at dawn", padding="max_length", max_length=77, truncation=True).input_ids
            assert whole(t, pieces(t, "a lake at dawn")[0][0]) == plain
        for name, (prompt, negative) in CASES.items():
            if name in ONLY and kind != ONLY[name]:
                continue
            sides = [cut(tokenizers, prompt), cut(tokenizers, negative or "")]
            count = max(len(s[0]) for s in sides)
            tokens = [max(sum(map(len, c)) for c in s) for s in sides]
            chunks = [len(s[0]) for s in sides]
            sides = [[c + [[]] * (count - len(c)) for c in s] for s in sides]
            found = [encode(kind, tokenizers, encoders, s) for s in sides]
            if negative is None and kind == "sdxl":
                found[1] = (torch.zeros_like(found[1][0]), torch.zeros_like(found[1][1]))
            cases[f"{kind}.{name}"] = {"prompt": prompt, "negative": negative, "tokens": tokens, "chunks": chunks}
            for side, (context, pooled) in zip(("", "negative_"), found):
                tensors[f"{kind}.{name}.{side}context"] = context
                if pooled is not None:
                    tensors[f"{kind}.{name}.{side}pooled"] = pooled
            if name != "words":
                continue
            more = {}
            if kind == "sdxl":
                more = {"added_cond_kwargs": {"text_embeds": torch.cat([found[1][1], found[0][1]]),
                                              "time_ids": torch.tensor([[64., 64, 0, 0, 64, 64]]).repeat(2, 1)}}
            context = torch.cat([found[1][0], found[0][0]])
            def predict(net, kind_, x):
                args = {"added_cond_kwargs": {k: v.to(kind_) for k, v in more["added_cond_kwargs"].items()}} if more else {}
                return net.to(kind_)(x.to(kind_).repeat(2, 1, 1, 1), 500, context.to(kind_), **args).sample
            for seed in range(7, 100):
                x = torch.randn((1, unet.config.in_channels, 8, 8), generator=torch.Generator().manual_seed(seed))
                single, y = predict(unet, torch.float32, x), predict(unet, torch.float64, x)
                if (single - y).abs().max() < 3e-5 * y.std():
                    break
            else:
                raise SystemExit(f"{kind}: no input is well conditioned")
            print(kind, "seed", seed, ((single - y).abs().max() / y.std()).item())
            y = y.float()
            tensors[f"{kind}.unet.input"], tensors[f"{kind}.unet.output"] = x, y
    json.dump(cases, open(f"{out}/prompts.json", "w"), indent=1)
    save_file({k: v.contiguous() for k, v in tensors.items()}, f"{out}/prompts.safetensors")


main(*sys.argv[1:])
