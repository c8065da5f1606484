"""Adapters other than plain LoRA for the fixtures' checkpoints, and what LyCORIS and PEFT compute with them.

    make_adapter_fixtures.py FIXTURES OUT     OUT/*.safetensors, OUT/peft-*/, OUT/adapters.json (cases), OUT/expected.safetensors

LyCORIS 4.1.3 is evaluated through its modules' forward pass, because its `merge_to` multiplies LoHa and decomposed LoKr by
alpha / rank twice. DoRA at another strength than 1 is W + strength * (merged - W), `apply_dora_scale` of LyCORIS, as in
ComfyUI and A1111; LyCORIS's modules mix only the norms there. PEFT 0.21.2 merges (`merge_and_unload`) what it saved itself.
"""
import json, os, shutil, sys

import torch
from lycoris.modules import ButterflyOFTModule, DiagOFTModule, FullModule, IA3Module, LoConModule, LohaModule, LokrModule, NormModule
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, get_peft_model
from safetensors.torch import load_file, save_file

from make_lora_fixtures import evaluate, open_pipe
from single_file import unet_name

G = torch.Generator()
LINEAR = ["mid_block.attentions.0.transformer_blocks.0.attn1.to_q", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
          "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj"]
CONV = ["down_blocks.0.downsamplers.0.conv", "down_blocks.1.resnets.0.conv1"]
POINTWISE = ["mid_block.resnets.0.time_emb_proj"]
TEXT = ["encoder.layers.0.mlp.fc1", "encoder.layers.1.self_attn.q_proj"]
NORMS = ["mid_block.resnets.0.norm1", "mid_block.attentions.0.transformer_blocks.0.norm2"]


def fill(module, size):
    """Values that are exact in half precision, large enough to be visible and small enough to keep the outputs' order of magnitude."""
    for name, p in module.named_parameters():
        if name == "dora_scale" or name == "rescale":
            p.data = (p.data * (1 + 0.3 * torch.randn(p.shape, generator=G))).half().float()
        else:
            p.data = (size(name, p) * torch.randn(p.shape, generator=G)).half().float()


def product(name, p):
    return 0.5


def state(module):
    if isinstance(module, FullModule):
        out = {"diff": module.weight.data}
        return out | ({"diff_b": module.bias.data} if module.bias is not None else {})
    return dict(module.state_dict())


def submodules(pipe, unet, text):
    parts = [("unet", pipe.unet, unet)]
    for encoder in ("text_encoder", "text_encoder_2"):
        if getattr(pipe, encoder, None) is not None:
            names = [n for n, _ in getattr(pipe, encoder).named_modules()]
            root = "text_model." if any(n.startswith("text_model.") for n in names) else ""
            parts.append((encoder, getattr(pipe, encoder), [root + n for n in text]))
    return [(part, n, model.get_submodule(n)) for part, model, wanted in parts for n in wanted]


def kohya(part, name, pipe, xl):
    name = name.replace("text_model.", "")
    if part == "unet":
        original = unet_name(name + ".weight", pipe.unet.config).removesuffix(".weight") if xl else name
        return "lora_unet_" + original.replace(".", "_")
    return {"text_encoder": "lora_te1_" if xl else "lora_te_", "text_encoder_2": "lora_te2_"}[part] + "text_model_" + name.replace(".", "_")


def lycoris(part, name, pipe, xl):
    return "lycoris_" + ("" if part == "unet" else "text_model_") + name.replace("text_model.", "").replace(".", "_")


def comfy(part, name, pipe, xl):
    name = name.replace("text_model.", "")
    if part == "unet":
        return "diffusion_model." + unet_name(name + ".weight", pipe.unet.config).removesuffix(".weight")
    return {"text_encoder": "text_encoders.clip_l.transformer.", "text_encoder_2": "text_encoders.clip_g.transformer."}[part] + "text_model." + name


def dotted(part, name, pipe, xl):
    return {"unet": "lora_unet.", "text_encoder": "lora_te1."}[part] + ("" if part == "unet" else "text_model.") + name.replace("text_model.", "")


def make(pipe, xl, made, naming, multipliers):
    """Active modules for the pipe, and their file."""
    file, modules = {}, []
    for part, name, target, build, size in made:
        module = build(target, multipliers.get(part, multipliers["*"]))
        fill(module, size)
        for key, t in state(module).items():
            t = t.detach().clone()
            file[f"{naming(part, name, pipe, xl)}.{key}"] = t.half() if t.is_floating_point() and key not in ("alpha", "on_input") else t
        modules.append((module, target))
    for module, _ in modules:
        module.apply_to()
    return file, modules


def lyco(cls, dim=2, alpha=1.0, **more):
    return lambda target, m: cls("x", target, multiplier=m, lora_dim=dim, alpha=alpha, **more)


def everywhere(pipe, build, size=product, unet=LINEAR + CONV + POINTWISE, text=TEXT):
    return [(part, n, m, build, size) for part, n, m in submodules(pipe, unet, text)]


def skew(name, p):
    return 0.2


def cases():
    both = lambda **more: lyco(LokrModule, dim=1, alpha=2.0, factor=8, decompose_both=True, **more)
    yield "loha", "sd15", lambda p: everywhere(p, lyco(LohaModule, alpha=3.0)), kohya, 0.75, ""
    yield "loha-tucker", "sd15", lambda p: everywhere(p, lyco(LohaModule, use_tucker=True)), lycoris, 1.0, ""
    yield "loha-dora", "sd15", lambda p: everywhere(p, lyco(LohaModule, weight_decompose=True), text=[]), kohya, 1.0, ""
    yield "lokr-whole", "sd15", lambda p: everywhere(p, lyco(LokrModule, factor=4, alpha=7.0, full_matrix=True, dim=64), unet=LINEAR + POINTWISE), kohya, 0.75, ""
    yield "lokr", "sd15", lambda p: everywhere(p, lyco(LokrModule, factor=4, alpha=3.0)), kohya, 0.75, ""
    yield "lokr-both", "sd15", lambda p: everywhere(p, both()), lycoris, 1.0, ""
    yield "lokr-tucker", "sd15", lambda p: everywhere(p, both(use_tucker=True)), kohya, 1.25, ""
    yield "lokr-dora", "sd15", lambda p: everywhere(p, lyco(LokrModule, factor=4, weight_decompose=True), text=[]), kohya, 1.0, ""
    yield "lora-tucker", "sd15", lambda p: everywhere(p, lyco(LoConModule, alpha=1.0, use_tucker=True)), kohya, 0.75, ""
    yield "dora", "sd15", lambda p: everywhere(p, lyco(LoConModule, weight_decompose=True)), kohya, 1.0, ""
    yield "dora-inputs", "sd15", lambda p: everywhere(p, lyco(LoConModule, weight_decompose=True, wd_on_out=False)), kohya, 0.5, ""
    yield "ia3", "sd15", lambda p: everywhere(p, lyco(IA3Module)), kohya, 0.75, ""
    yield "ia3-inputs", "sd15", lambda p: everywhere(p, lyco(IA3Module, train_on_input=True)), kohya, 1.0, ""
    yield "full", "sd15", lambda p: everywhere(p, lyco(FullModule), lambda n, q: 0.05, unet=LINEAR[:1] + CONV[:1] + POINTWISE) \
        + [("unet", n, p.unet.get_submodule(n), lyco(NormModule), product) for n in NORMS], kohya, 0.75, ""
    yield "oft", "sd15", lambda p: everywhere(p, lyco(DiagOFTModule, dim=8, constraint=0.0), skew), kohya, 0.75, ""
    yield "oft-bound", "sd15", lambda p: everywhere(p, lyco(DiagOFTModule, dim=4, constraint=0.01, rescaled=True), skew), kohya, 1.0, ""
    yield "boft", "sd15", lambda p: everywhere(p, lyco(ButterflyOFTModule, dim=8, constraint=0.0), skew), kohya, 0.75, ""
    yield "boft-rescaled", "sd15", lambda p: everywhere(p, lyco(ButterflyOFTModule, dim=4, constraint=0.01, rescaled=True), skew), kohya, 1.0, ""
    yield "comfy", "sd15", lambda p: everywhere(p, lyco(LoConModule)), comfy, 0.75, ":te=0.25"
    yield "dotted", "sd15", lambda p: everywhere(p, lyco(LoConModule)), dotted, 1.0, ":unet=0.5"
    yield "mixed", "sdxl", lambda p: everywhere(p, lyco(LokrModule, factor=4), unet=LINEAR) + everywhere(p, lyco(LohaModule), unet=CONV, text=[]), kohya, 0.75, ":te1=0.25:te2=1.5"
    yield "comfy", "sdxl", lambda p: everywhere(p, lyco(LoConModule), unet=LINEAR), comfy, 1.0, ""


def multipliers(weight, parts):
    found = {"*": weight}
    for name, value in (p.split("=") for p in parts.split(":") if p):
        for part in {"te": ["text_encoder", "text_encoder_2"], "te1": ["text_encoder"], "te2": ["text_encoder_2"], "unet": ["unet"]}[name]:
            found[part] = float(value)
    return found


def peft_cases():
    targets = "|".join(n.replace(".", r"\.") for n in LINEAR + CONV)
    linear = "|".join(n.replace(".", r"\.") for n in LINEAR)
    yield "lora", LoraConfig(r=2, lora_alpha=3, use_dora=True, lora_bias=False, target_modules=f".*({targets})")
    yield "bias", LoraConfig(r=2, lora_alpha=3, use_rslora=True, lora_bias=True, target_modules=f".*({'|'.join([CONV[0], LINEAR[2], POINTWISE[0]])})")
    yield "loha", LoHaConfig(r=2, alpha=3, use_effective_conv2d=True, target_modules=f".*({targets})")
    yield "lokr", LoKrConfig(r=2, alpha=3, decompose_both=True, decompose_factor=4, rank_pattern={"attn1.to_q": 64}, target_modules=f".*({targets})")
    yield "ia3", IA3Config(target_modules=f".*({linear}|{POINTWISE[0]})", feedforward_modules=f".*({LINEAR[2]})")
    yield "oft", OFTConfig(r=0, oft_block_size=8, use_cayley_neumann=False, target_modules=f".*({linear})")
    yield "oft-series", OFTConfig(r=0, oft_block_size=8, use_cayley_neumann=True, block_share=True, target_modules=f".*({linear})")


def main():
    fixtures, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    torch.set_grad_enabled(False)
    G.manual_seed(11)
    T, listed = {}, []
    def record(name, kind, file, weight, parts, pipe):
        fixture = load_file(f"{fixtures}/expected/{kind}.safetensors")
        found = evaluate(pipe, fixture, json.load(open(f"{fixtures}/expected/{kind}.json")), kind == "sdxl")
        reference = {"unet": "unet.0.output"}
        change = {k: float((t - fixture[reference.get(k, k)]).std() / fixture[reference.get(k, k)].std()) for k, t in found.items()}
        for key, t in found.items():
            if change[key] > 1e-5:
                T[f"{name}.{key}"] = t.clone().contiguous()
        listed.append({"name": name, "kind": kind, "loras": [{"file": file, "weight": weight, "parts": parts}]})
        print(name, {k: round(c, 3) for k, c in change.items()})

    for name, kind, made, naming, weight, parts in cases():
        pipe, xl = open_pipe(kind, fixtures), kind == "sdxl"
        before = {id(m): m.weight.clone() for _, _, m in submodules(pipe, LINEAR + CONV + POINTWISE, TEXT)}
        file, modules = make(pipe, xl, made(pipe), naming, multipliers(1.0 if "dora" in name else weight, parts))
        if "dora" in name and weight != 1:
            for module, target in modules:
                module.restore()
                merged = module.get_merged_weight(1, target.weight.shape)[0]
                target.weight.data = before[id(target)] + weight * (merged - before[id(target)])
        save_file({k: t.contiguous() for k, t in file.items()}, f"{out}/{kind}-{name}.safetensors")
        record(f"{kind}.{name}", kind, f"{kind}-{name}.safetensors", weight, parts, pipe)

    for name, config in peft_cases():
        pipe = open_pipe("sd15", fixtures)
        model = get_peft_model(pipe.unet, config)
        for n, p in model.named_parameters():
            if "magnitude" in n or "ia3" in n:
                p.data = (p.data * (1 + 0.3 * torch.randn(p.shape, generator=G))).half().float()
            elif any(x in n for x in ("lora_", "hada_", "lokr_", "oft_R")):
                p.data = ((0.2 if "oft" in n else 0.5) * torch.randn(p.shape, generator=G)).half().float()
        folder = f"{out}/peft-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        for extra in os.listdir(folder):
            if extra not in ("adapter_model.safetensors", "adapter_config.json"):
                os.remove(f"{folder}/{extra}")
        pipe.unet = model.merge_and_unload()
        record(f"peft.{name}", "sd15", f"peft-{name}/adapter_model.safetensors", 1.0, "", pipe)

    save_file(T, f"{out}/expected.safetensors")
    json.dump(listed, open(f"{out}/adapters.json", "w"), indent=1)


if __name__ == "__main__":
    main()
