"""CLIP's byte-pair vocabulary (MIT, OpenAI), reduced to the merges that our captions need and the most
frequent ones, as the four tokenizer files of a published checkpoint."""

import gzip
import importlib.util
import json
import os

from captions import BACKDROPS, BALANCED, BODIES, CLOUDS, ENDINGS, FLOWERS, LAYOUTS, NOUNS, OPENINGS, SEASONS, STARS, SUBJECTS, TIMES

FREQUENT = 2600


def grammar_words():
    texts = list(OPENINGS) + list(ENDINGS) + list(STARS) + list(FLOWERS) + list(SUBJECTS.values())
    for table in (NOUNS, TIMES, BODIES, CLOUDS, SEASONS, BACKDROPS, LAYOUTS, BALANCED):
        for options in table.values():
            texts += options
    extra = "sky snowy peaks water horizon reflection river hill valley tree trees grass bright dark blue red orange purple golden " \
            "evening morning moonlit sunlit moon sun star stars cloud clouds misty foggy cold warm green white".split()
    return sorted({w for t in texts for w in t.lower().replace(",", " ").split()} | set(extra))


def wanted_merges(all_merges):
    """The first merges, and those that make whole words of our grammar, in their order."""
    rank = {tuple(m.split()): i for i, m in enumerate(all_merges)}
    keep = set(range(FREQUENT))
    for word in grammar_words():
        parts = list(word[:-1]) + [word[-1] + "</w>"]
        while len(parts) > 1:
            pairs = [(rank.get((a, b), 1 << 30), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
            best, i = min(pairs)
            if best == 1 << 30:
                break
            keep.add(best)
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return [all_merges[i] for i in sorted(keep)]


def write_tokenizer(folder, pad):
    from transformers import CLIPTokenizer
    path = os.path.join(os.path.dirname(importlib.util.find_spec("open_clip").origin), "bpe_simple_vocab_16e6.txt.gz")
    merges = wanted_merges(gzip.open(path).read().decode("utf-8").split("\n")[1:49152 - 256 - 2 + 1])
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in printable]
    letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]
    vocab = letters + [c + "</w>" for c in letters] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    os.makedirs(folder, exist_ok=True)

    def write(name, value):
        json.dump(value, open(f"{folder}/{name}", "w", encoding="utf-8"), ensure_ascii=False)

    write("vocab.json", {v: i for i, v in enumerate(vocab)})
    open(f"{folder}/merges.txt", "w", encoding="utf-8").write("#version: 0.2\n" + "\n".join(merges) + "\n")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": pad, "unk_token": "<|endoftext|>"}
    write("special_tokens_map.json", special)
    write("tokenizer_config.json", special | {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True})
    return CLIPTokenizer.from_pretrained(folder)
