"""LoRA files for the fixtures' checkpoints, and what Diffusers computes with them merged.

    make_lora_fixtures.py FIXTURES OUT        OUT/*.safetensors, OUT/lora.json (cases), OUT/expected.safetensors

Files are written in the forms that people use: kohya's (Diffusers' module names for SD 1 and 2, the original ones for SDXL),
PEFT's with its settings in the header, Diffusers' own from before PEFT (`processor.to_q_lora`) and between (`lora_linear_layer`).

Diffusers 0.42 gives every attention layer of a kohya file the commonest alpha of the file, and so every layer without one. The
kohya files here have one alpha for those, so that Diffusers' answer is that of the file; `mixed` has an alpha of its own, or none,
for each layer, and its answer is computed here by the formula W + weight * alpha / rank * up @ down, alpha = rank where it lacks.
"""
import json, os, sys

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from single_file import unet_name

G = torch.Generator()
RANK = 2


def modules(model, wanted):
    return {n: m for n, m in model.named_modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)) and wanted(n)}


def pair(module, rank):
    w = module.weight
    # Large enough to be visible, small enough to keep the outputs' order of magnitude.
    down = torch.randn((rank, *w.shape[1:]), generator=G) * w[0].numel() ** -0.5
    up = torch.randn((w.shape[0], rank) + ((1, 1) if w.ndim == 4 else ()), generator=G) * 0.3
    return down.half(), up.half()


def unet_part(n):
    return ("attentions" in n and ("transformer_blocks.0" in n or "proj_" in n)) or n.startswith("down_blocks.1.resnets.0") \
        or n in ("down_blocks.0.downsamplers.0.conv", "up_blocks.0.upsamplers.0.conv", "mid_block.resnets.1.conv2", "conv_in")


def text_part(n):
    return "encoder.layers" in n and not n.endswith("k_proj")


def kohya(pipe, xl, mixed=False):
    out = {}
    def put(prefix, name, module, alpha):
        stem = prefix + name.replace(".", "_")
        out[f"{stem}.lora_down.weight"], out[f"{stem}.lora_up.weight"] = pair(module, RANK)
        if alpha is not None:
            out[f"{stem}.alpha"] = torch.tensor(alpha)
    for i, (name, m) in enumerate(modules(pipe.unet, unet_part).items()):
        original = unet_name(name + ".weight", pipe.unet.config).removesuffix(".weight") if xl else name
        alpha = [1.0, 0.5, None, 4.0][i % 4] if mixed else 1.0 if "attn" in name else [1.0, 0.5, 4.0][i % 3]
        put("lora_unet_", original, m, alpha)
    for encoder, prefix in ((pipe.text_encoder, "lora_te1_" if xl else "lora_te_"), (getattr(pipe, "text_encoder_2", None), "lora_te2_")):
        if encoder is not None:
            for name, m in modules(encoder, text_part).items():
                put(prefix, ("" if name.startswith("text_") else "text_model.") + name, m, 1.0)
    return out


def merge_plainly(pipe, lora, weight):
    """The formula, on the UNet of a file with Diffusers' module names."""
    for name, module in pipe.unet.named_modules():
        stem = "lora_unet_" + name.replace(".", "_")
        if f"{stem}.lora_down.weight" in lora:
            down, up = lora[f"{stem}.lora_down.weight"].float(), lora[f"{stem}.lora_up.weight"].float()
            scale = float(lora.get(f"{stem}.alpha", down.shape[0])) / down.shape[0]
            module.weight += (weight * scale * (up.flatten(1) @ down.flatten(1))).reshape(module.weight.shape)


def peft(kind, folder, xl, path):
    """A file as PEFT's trainers leave it: rank and alpha differ by module, as given in the header."""
    pipe = open_pipe(kind, folder)
    pipe.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=3, rank_pattern={"attn2.to_k": 1}, alpha_pattern={"ff.net.2": 7},
                                     target_modules=r".*transformer_blocks\.0.*(to_q|to_k|to_out\.0|ff\.net\.0\.proj|ff\.net\.2)|.*down_blocks\.1\.resnets\.0\.conv1"))
    pipe.text_encoder.add_adapter(LoraConfig(r=RANK, lora_alpha=1, target_modules=["q_proj", "fc1"]))
    from peft.utils import get_peft_model_state_dict
    parts = {"unet": pipe.unet, "text_encoder": pipe.text_encoder}
    state = {}
    for part, model in parts.items():
        own = get_peft_model_state_dict(model)
        state[part] = {k: (torch.randn(v.shape, generator=G) * (0.3 if "lora_B" in k else v[0].numel() ** -0.5)).half() for k, v in own.items()}
    cls = type(pipe)
    extra = {"unet_lora_adapter_metadata": pipe.unet.peft_config["default"].to_dict(), "text_encoder_lora_adapter_metadata": pipe.text_encoder.peft_config["default"].to_dict()}
    cls.save_lora_weights(os.path.dirname(path), unet_lora_layers=state["unet"], text_encoder_lora_layers=state["text_encoder"], weight_name=os.path.basename(path), **extra)


def older(pipe):
    """Diffusers before PEFT: attention processors in the UNet, patched linear layers in the text encoder; no alpha."""
    out = {}
    def put(stem, module):
        out[f"{stem}.down.weight"], out[f"{stem}.up.weight"] = pair(module, RANK)
    for name, m in modules(pipe.unet, lambda n: "attn" in n and "mid_block" in n).items():
        block, part = name.replace("to_out.0", "to_out").rsplit(".", 1)
        put(f"unet.{block}.processor.{part}_lora", m)
    for name, m in modules(pipe.text_encoder, lambda n: n.endswith(("q_proj", "out_proj"))).items():
        put(f"text_encoder.{'' if name.startswith('text_') else 'text_model.'}{name}.lora_linear_layer", m)
    return out


def open_pipe(kind, folder):
    pipe = (StableDiffusionXLPipeline if kind == "sdxl" else StableDiffusionPipeline).from_pretrained(f"{folder}/{kind}-tiny", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def evaluate(pipe, fixture, meta, xl):
    if xl:
        p, n, pp, np_ = pipe.encode_prompt(prompt=meta["prompt"], negative_prompt=meta["negative"], device="cpu", do_classifier_free_guidance=True)
    else:
        (p, _), pp = pipe.encode_prompt(meta["prompt"], "cpu", 1, True, meta["negative"]), None
    out = {"prompt_embeds": p}
    if xl:
        out["pooled"] = pp
    # the UNet from the unchanged embeddings, so that each network is checked for itself
    context = torch.cat([fixture["negative_prompt_embeds"], fixture["prompt_embeds"]])
    added = {"text_embeds": torch.cat([fixture["negative_pooled"], fixture["pooled"]]), "time_ids": fixture["unet.time_ids"]} if xl else None
    out["unet"] = pipe.unet(fixture["unet.0.input"], fixture["unet.0.timestep"][0], encoder_hidden_states=context, added_cond_kwargs=added).sample
    return out


def main():
    fixtures, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    torch.set_grad_enabled(False)
    G.manual_seed(7)
    cases, T = [], {}
    for kind in ("sd15", "sd21", "sdxl"):
        xl = kind == "sdxl"
        pipe = open_pipe(kind, fixtures)
        save_file(kohya(pipe, xl), f"{out}/{kind}-kohya.safetensors")
        peft(kind, fixtures, xl, f"{out}/{kind}-peft.safetensors")
        todo = [[("kohya", 0.75)], [("peft", 1.0)], [("kohya", 0.5), ("peft", -0.25)]]
        if kind == "sd15":
            save_file(older(pipe), f"{out}/{kind}-older.safetensors")
            todo.append([("older", 1.5)])
            # No text encoder: its layers are few and all alike.
            mixed = {k: t for k, t in kohya(pipe, xl, mixed=True).items() if k.startswith("lora_unet_")}
            save_file(mixed, f"{out}/{kind}-mixed.safetensors")
            todo.append([("mixed", 0.75)])
        fixture = load_file(f"{fixtures}/expected/{kind}.safetensors")
        meta = json.load(open(f"{fixtures}/expected/{kind}.json"))
        for files in todo:
            pipe = open_pipe(kind, fixtures)
            if files[0][0] == "mixed":
                merge_plainly(pipe, load_file(f"{out}/{kind}-mixed.safetensors"), files[0][1])
            else:
                for form, _ in files:
                    pipe.load_lora_weights(out, weight_name=f"{kind}-{form}.safetensors", adapter_name=form)
                pipe.set_adapters([f for f, _ in files], [w for _, w in files])
                pipe.fuse_lora(components=["unet", "text_encoder"] + (["text_encoder_2"] if xl else []), adapter_names=[f for f, _ in files])
                pipe.unload_lora_weights()
            name = f"{kind}." + "+".join(f for f, _ in files)
            found = evaluate(pipe, fixture, meta, xl)
            for key, t in found.items():
                T[f"{name}.{key}"] = t
            reference = {"unet": "unet.0.output"}
            change = {k: float((t - fixture[reference.get(k, k)]).std() / fixture[reference.get(k, k)].std()) for k, t in found.items()}
            cases.append({"name": name, "kind": kind, "loras": [{"file": f"{kind}-{f}.safetensors", "weight": w} for f, w in files]})
            print(name, {k: round(c, 3) for k, c in change.items()})
    save_file({k: t.clone().contiguous() for k, t in T.items()}, f"{out}/expected.safetensors")
    json.dump(cases, open(f"{out}/lora.json", "w"), indent=1)


if __name__ == "__main__":
    main()
