"""Prompts with weights, skipped layers, second prompts and textual inversions: what Transformers' text encoders make of them.

    make_language_fixtures.py FIXTURES OUT     OUT/language.json (cases), OUT/language.safetensors (contexts), OUT/*.safetensors (inversions)

A case lists the fragments that a prompt means, with their weights, so that the test checks the reading, too. The arithmetic is
A1111's: the states of each token are multiplied by its weight, and all states of a chunk by what restores their mean; for SDXL each
encoder by itself, the pooled embedding stays. (States behind the last norm of these tiny SD 1 and 2 encoders have a mean of zero but
for rounding, so weights are tried on SDXL.) Full chunks end behind a comma among their last 20 tokens. A layer is left out before
the last norm (SD 1 and 2); SDXL has none. A textual inversion is rows behind the table of embeddings.
"""
import json, sys

import torch
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

W = 1.1
LONG = "a lake at dawn, an old stone bridge under soft golden light with mist over the water and tall pines on both shores, "
CASES = [  # name, kinds, settings, prompt, fragments ("" is the end of a chunk)
    ("weights", ["sdxl"], {}, "a (lake:1.3) at ((dawn)) in [mist], (an (old:0.5) bridge)",
     [["a ", 1], ["lake", 1.3], [" at ", 1], ["dawn", W * W], [" in ", 1], ["mist", 1 / W], [", ", 1], ["an ", W], ["old", 0.5 * W], [" bridge", W]]),
    ("escapes", ["sdxl"], {}, r"a \(lake\) \[at\] dawn: 3 (old)", [["a (lake) [at] dawn: 3 ", 1], ["old", W]]),
    ("open", ["sdxl"], {}, "a (lake at [dawn, b) c:1.5) d] e", [["a ", 1], ["lake at ", W], ["dawn, b", 1], [" c:1.5) d", 1 / W], [" e", 1]]),
    ("broken", ["sdxl"], {}, "a (lake BREAK at:1.2) dawn", [["a ", 1], ["lake", 1.2], [None, 0], ["at", 1.2], [" dawn", 1]]),
    ("negative", ["sdxl"], {}, "a (lake:-0.5) (dawn:0)", [["a ", 1], ["lake", -0.5], [" ", 1], ["dawn", 0]]),
    ("commas", ["sd15"], {}, LONG * 4, [[LONG * 4, 1]]),
    ("skip2", ["sd15", "sd21", "sdxl"], {"skip": 2}, "a lake at dawn", [["a lake at dawn", 1]]),
    ("skip3", ["sdxl"], {"skip": 3}, "a lake", [["a lake", 1]]),
    ("second", ["sdxl"], {"prompt2": "an (old:1.5) bridge"}, "a lake", [["a lake", 1]]),
    ("inversion", ["sd15", "sd21", "sdxl"], {"inversions": ["two"]}, "a Two at dawn, two2", [["a ", 1], ["*two", 1], [" at dawn, two2", 1]]),
    ("token", ["sd15"], {"inversions": ["one"]}, "a <cat> embedding:<cat>", [["a ", 1], ["*one", 1], [" ", 1], ["*one", 1]]),
    ("weighted-inversion", ["sdxl"], {"inversions": ["two"]}, "a (two:1.3)", [["a ", 1], ["*two", 1.3]]),
]
SECOND = [["an ", 1], ["old", 1.5], [" bridge", 1]]


def rows(tokenizer, fragments, known):
    """Ids and weights of sections; an inversion's ids are one list."""
    sections = [[]]
    for text, weight in fragments:
        if text is None:
            sections.append([])
        elif text.startswith("*"):
            sections[-1].append((known[text[1:]], weight))
        else:
            sections[-1] += [([i], weight) for i in tokenizer(text, add_special_tokens=False).input_ids]
    return sections


def cut(section, comma, room=75, back=20):
    chunks, chunk, last = [], [], -1
    for ids, weight in section:
        if ids == [comma]:
            last = len(chunk)
        elif len(chunk) == room and last != -1 and len(chunk) - last <= back:
            chunk, rest = chunk[:last + 1], chunk[last + 1:]
            chunks.append(chunk)
            chunk, last = rest, -1
        if len(chunk) + len(ids) > room:
            chunks.append(chunk)
            chunk, last = [], -1
            if ids == [comma]:
                last = 0
        chunk = chunk + [(i, weight) for i in ids]
    return chunks + ([chunk] if chunk or not chunks else [])


def encode(kind, tokenizer, encoder, chunk, skip):
    pairs = [(tokenizer.bos_token_id, 1.0)] + chunk + [(tokenizer.eos_token_id, 1.0)]
    end = len(pairs) - 1
    pairs += [(tokenizer.pad_token_id, 1.0)] * (77 - len(pairs))
    out = encoder(torch.tensor([[i for i, _ in pairs]]), output_hidden_states=True)
    norm = next(m for n, m in encoder.named_modules() if n.endswith("final_layer_norm"))
    if kind == "sdxl":
        z = out.hidden_states[-(skip or 2)]
    else:
        z = norm(out.hidden_states[-(skip or 1)])
    weights = torch.tensor([w for _, w in pairs])
    if (weights != 1).any():
        mean = z.mean()
        assert abs(mean) > 1e-3 * z.std() and abs((z * weights[None, :, None]).mean()) > 1e-3 * z.std()
        z = z * weights[None, :, None]
        z = z * (mean / z.mean())
    pooled = encoder.text_projection(norm(out.hidden_states[-1])[:, end]) if hasattr(encoder, "text_projection") else None
    return z, pooled


def main():
    fixtures, out = sys.argv[1:3]
    torch.set_grad_enabled(False)
    G = torch.Generator().manual_seed(5)
    T, listed = {}, []
    for kind in ("sd15", "sd21", "sdxl"):
        folder = f"{fixtures}/{kind}-tiny"
        suffixes = ("", "_2") if kind == "sdxl" else ("",)
        tokenizers = [CLIPTokenizer.from_pretrained(f"{folder}/tokenizer{s}") for s in suffixes]
        encoders = [(CLIPTextModelWithProjection if s else CLIPTextModel).from_pretrained(f"{folder}/text_encoder{s}", torch_dtype=torch.float32).eval() for s in suffixes]
        vectors = {}
        for name, count in (("two", 2), ("one", 1)):
            vectors[name] = [torch.randn((count, e.config.hidden_size), generator=G) * e.get_input_embeddings().weight.std() * 2 for e in encoders]
        if kind == "sdxl":
            save_file(dict(zip(("clip_l", "clip_g"), vectors["two"])), f"{out}/{kind}-two.safetensors")
        else:
            save_file({"emb_params": vectors["two"][0]}, f"{out}/{kind}-two.safetensors")
        if kind == "sd15":
            save_file({"<cat>": vectors["one"][0][0]}, f"{out}/sd15-one.safetensors")
        known = []
        for i, encoder in enumerate(encoders):
            table = encoder.get_input_embeddings().weight
            start, own = len(table), {}
            for name in vectors:
                own[name] = list(range(start, start + len(vectors[name][i])))
                start += len(own[name])
            known.append(own)
            encoder.set_input_embeddings(torch.nn.Embedding.from_pretrained(torch.cat([table] + [vectors[n][i] for n in vectors])))
        for name, kinds, settings, prompt, fragments in CASES:
            if kind not in kinds:
                continue
            per = []
            for i, tokenizer in enumerate(tokenizers):
                own = SECOND if i and "prompt2" in settings else fragments
                comma = tokenizer(",", add_special_tokens=False).input_ids[0]
                per.append([cut(s, comma) for s in rows(tokenizer, own, known[i])])
            counts = [max(len(p[j]) for p in per) for j in range(len(per[0]))]
            per = [[c for s, n in zip(p, counts) for c in s + [[]] * (n - len(s))] for p in per]
            contexts, pooled = [], None
            for j in range(len(per[0])):
                found = [encode(kind, t, e, p[j], settings.get("skip")) for t, e, p in zip(tokenizers, encoders, per)]
                contexts.append(torch.cat([z for z, _ in found], -1))
                pooled = found[-1][1] if pooled is None else pooled
            case = f"{kind}.{name}"
            T[f"{case}.context"] = torch.cat(contexts, 1).contiguous()
            if kind == "sdxl":
                T[f"{case}.pooled"] = pooled.contiguous()
            listed.append({"name": case, "kind": kind, "prompt": prompt, "chunks": len(contexts), "skip": settings.get("skip"), "prompt2": settings.get("prompt2"),
                           "inversions": [f"{kind}-{n}.safetensors" + (":two" if n == "two" else "") for n in settings.get("inversions", [])]})
            print(case, len(contexts), float(T[f"{case}.context"].std()))
    save_file(T, f"{out}/language.safetensors")
    json.dump(listed, open(f"{out}/language.json", "w"), indent=1)


if __name__ == "__main__":
    main()
