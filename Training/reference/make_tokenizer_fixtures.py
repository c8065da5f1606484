"""Small tokenizers in every published file format, and the ids that Transformers gives with them.

    python make_tokenizer_fixtures.py FIXTURES OUT        OUT/tokenizers.json

The vocabulary is that of the fixtures' SD 1.5, cut to its first merges. A case has the files of a folder as text and, for each
prompt, the ids between begin and end. Where files begin with a byte-order mark or have CRLF, which Transformers itself refuses
or misreads, the ids are those of the same files without them.
"""
import json, os, sys, tempfile

from transformers import AddedToken, CLIPTokenizer

MERGES = 90
PROMPTS = [
    "", "a photo of <cat-toy> by the water", "<cat-toy><cat-toy>, <CAT-TOY>! <Cat-Toy>s x<cat-toy>y",
    "Sks Dog, sks dog and SKS\tDOG, sks  dog, sksdog, xsks dogx", "Raw raw Rawx aRaw Raw_ Raw1 Raw\u0301 \u00e9Raw Raw. (Raw) Raw",
    "word Word WORD words sword word's word-word word\u203fword word\u200dword", "a  <l>  b<l>c <l>", "a  <r>  b<r>c <r>  ",
    "a \t <lr> \n <lr>  <l> <r> <lr>", "\u00a0<lr>\u3000<cat-toy>\u00a0", "<a> <a>b <a>bc <ab <a <<a>>", "caf\u00e9 cafe\u0301 CAF\u00c9 xcaf\u00e9x",
    "<|endoftext|> <|ENDOFTEXT|> <|startoftext|>a<|StartOfText|>", "!hello! hello ! <|endoftext|>!", "the in the IN in inthe",
    "plain words only, nothing else 123 \u6771\u4eac \U0001f98a", "<cat-toy", "\u0130stanbul \u0130 <\u0130> <i\u0307>",
]


def write(folder, files):
    for name, text in files.items():
        with open(f"{folder}/{name}", "w", encoding="utf-8", newline="") as f:
            f.write(text)


def ids(files):
    with tempfile.TemporaryDirectory() as folder:
        write(folder, files)
        t = CLIPTokenizer.from_pretrained(folder)
        return [t(p, add_special_tokens=False).input_ids for p in PROMPTS], t(
            PROMPTS[1], padding="max_length", truncation=True, max_length=77).input_ids


def saved(files, add=()):
    """What Transformers writes after reading these files, and adding tokens."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder, files)
        t = CLIPTokenizer.from_pretrained(folder)
        t.add_tokens(list(add))
        with tempfile.TemporaryDirectory() as out:
            t.save_pretrained(out)
            return {n: json.dumps(json.load(open(f"{out}/{n}"))) for n in sorted(os.listdir(out))}


def main(fixtures, out):
    source = f"{fixtures}/sd15-tiny/tokenizer"
    merges = open(f"{source}/merges.txt", encoding="utf-8").read().split("\n")[1:1 + MERGES]
    whole = json.load(open(f"{source}/vocab.json", encoding="utf-8"))
    letters = sorted((i, w) for w, i in whole.items() if i < 512)
    words = [w for _, w in letters] + [m.replace(" ", "") for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    n = len(words)
    base = {"vocab.json": json.dumps({w: i for i, w in enumerate(words)}, ensure_ascii=False),
            "merges.txt": "#version: 0.2\n" + "\n".join(merges) + "\n"}
    roles = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    settings = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True}

    def config(**more):
        return {"tokenizer_config.json": json.dumps({**roles, **settings, **more})}

    def token(content, **flags):
        return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False, **flags}

    tokens = [token("<cat-toy>", normalized=True), token("Sks Dog", normalized=True), token("Raw", single_word=True),
              token("word", normalized=True, single_word=True), token("<l>", lstrip=True, normalized=True), token("<r>", rstrip=True),
              token("<lr>", lstrip=True, rstrip=True, normalized=True), token("<a>"), token("<a>b", normalized=True), token("<a>bc"),
              token("cafe\u0301", normalized=True), token("<\u0130>", normalized=True)]
    added = [AddedToken(t["content"], lstrip=t["lstrip"], rstrip=t["rstrip"], single_word=t["single_word"], normalized=t["normalized"]) for t in tokens]
    decoder = {str(n - 2): token("<|startoftext|>", normalized=True, special=True), str(n - 1): token("<|endoftext|>", special=True)}
    decoder |= {str(n + i): t for i, t in enumerate(tokens)}
    pair = base | config()
    five, five_added = saved(pair), saved(pair, added)
    model = json.loads(five["tokenizer.json"])
    assert isinstance(model["model"]["merges"][0], list)
    model["model"]["merges"] = [" ".join(m) for m in model["model"]["merges"]]
    published = {r: {k: v for k, v in token(t, normalized=True).items() if k != "special"} for r, t in roles.items() if r != "pad_token"}
    legacy = base | config() | {"added_tokens.json": json.dumps({t["content"]: n + i for i, t in enumerate(tokens)})}
    cases = {
        "pair": pair,
        "bare": base,
        "saved": five,
        "strings": five | {"tokenizer.json": json.dumps(model)},
        "alone": {"tokenizer.json": five_added["tokenizer.json"]},
        "saved-added": five_added,
        "decoder": base | config(added_tokens_decoder=decoder),
        "legacy": legacy,
        "published": base | config(**{r: {"__type": "AddedToken", **t} for r, t in published.items()})
        | {"special_tokens_map.json": json.dumps(published | {"pad_token": "<|endoftext|>"})},
        "bang": base | config(pad_token="!"),
        "extra": base | config(additional_special_tokens=["the</w>", "in"]),
    }
    result = {}
    for name, files in cases.items():
        found, padded = ids(files)
        result[name] = {"files": files, "ids": found, "padded": padded}
    assert result["pair"]["ids"] == result["saved"]["ids"] == result["strings"]["ids"]
    mark = "\ufeff"
    for name in ("legacy", "saved-added"):
        files = {n: mark + t.replace("\n", "\r\n").replace(", ", ",\r\n") if n.endswith(".json") else mark + t.replace("\n", "\r\n")
                 for n, t in cases[name].items()}
        result[f"{name}-marks"] = result[name] | {"files": files}
    json.dump({"prompts": PROMPTS, "cases": result}, open(f"{out}/tokenizers.json", "w"), separators=(",", ":"))


main(*sys.argv[1:])
