"""Writes Diffusers checkpoints as single files in the original layout (CompVis, Stability), and the lists of names
that the Swift tests build such files from.

    single_file.py convert FOLDER OUT.safetensors     one file from a folder
    single_file.py layouts FIXTURES OUT               OUT/<kind>.json: a list per fixture, and one per published size
    single_file.py check FIXTURES                     the lists against Diffusers' own readers of such files

The map goes from Diffusers' names to the original ones: the inverse of the one that Tessera reads with, and written independently of it.
A list has, for each tensor of the file, its component, its name there, what is done to it, and its shape:
copy, conv (a matrix as a 1x1 convolution), transpose, stack (queries, keys and values: three names), extra (not in the folder).
"""
import argparse, json, os, re

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model", "text_encoder_2": "model"}
RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
PLAIN = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0",
         "add_embedding.linear_2": "label_emb.0.2", "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out",
                 "query": "q", "key": "k", "value": "v", "proj_attn": "proj_out"}
CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}


def unet_name(name, config):
    layers = config["layers_per_block"]
    layers = layers if isinstance(layers, int) else layers[0]
    module, leaf = name.rsplit(".", 1)
    if module in PLAIN:
        return f"{PLAIN[module]}.{leaf}"
    m = re.fullmatch(r"(down_blocks|up_blocks)\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)", name)
    if m:
        side, i, kind, j, rest = m[1], int(m[2]), m[3], int(m[4]), m[5]
        down = side == "down_blocks"
        block = i * (layers + 1) + j + 1 if down else i * (layers + 1) + j
        if kind == "resnets":
            part, leaf = rest.rsplit(".", 1)
            return f"{'in' if down else 'out'}put_blocks.{block}.0.{RESNET[part]}.{leaf}"
        if kind == "attentions":
            return f"{'in' if down else 'out'}put_blocks.{block}.1.{rest}"
        if kind == "downsamplers":
            return f"input_blocks.{(i + 1) * (layers + 1)}.0.op.{leaf}"
        attends = config["up_block_types"][i].startswith("CrossAttn")
        return f"output_blocks.{i * (layers + 1) + layers}.{2 if attends else 1}.conv.{leaf}"
    m = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name)
    if m[1] == "attentions":
        return f"middle_block.1.{m[3]}"
    part, leaf = m[3].rsplit(".", 1)
    return f"middle_block.{2 * int(m[2])}.{RESNET[part]}.{leaf}"


def vae_name(name, config):
    count = len(config["block_out_channels"])
    name = name.replace("conv_norm_out", "norm_out")
    m = re.fullmatch(r"(encoder|decoder)\.(down|up)_blocks\.(\d)\.(resnets|downsamplers|upsamplers)\.(\d)\.(.+)", name)
    if m:
        level = int(m[3]) if m[2] == "down" else count - 1 - int(m[3])
        inner = f"block.{m[5]}.{m[6]}" if m[4] == "resnets" else f"{m[2]}sample.{m[6]}"
        return f"{m[1]}.{m[2]}.{level}.{inner}".replace("conv_shortcut", "nin_shortcut"), "copy"
    m = re.fullmatch(r"(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d)\.(.+)", name)
    if not m:
        return name, "copy"
    if m[2] == "resnets":
        return f"{m[1]}.mid.block_{int(m[3]) + 1}.{m[4]}".replace("conv_shortcut", "nin_shortcut"), "copy"
    part, leaf = m[4].rsplit(".", 1)
    return f"{m[1]}.mid.attn_1.{VAE_ATTENTION[part]}.{leaf}", "conv" if leaf == "weight" and part != "group_norm" else "copy"


def open_clip(shapes, prefix, component, complete, T):
    """OpenCLIP's text model; `complete` adds what a whole OpenCLIP has and Stable Diffusion 2 does not use."""
    root = "text_model." if any(n.startswith("text_model.") for n in shapes) else ""
    layers = 0
    for name, shape in shapes.items():
        own = name.removeprefix(root)
        if name == "text_projection.weight":
            T[f"{prefix}text_projection"] = (component, name, "transpose", shape[::-1])
        elif own == "embeddings.position_embedding.weight":
            T[f"{prefix}positional_embedding"] = (component, name, "copy", shape)
        elif own.startswith("embeddings.token_embedding"):
            T[f"{prefix}token_embedding.weight"] = (component, name, "copy", shape)
        elif own.startswith("final_layer_norm"):
            T[prefix + own.replace("final_layer_norm", "ln_final")] = (component, name, "copy", shape)
        elif m := re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", own):
            block, part, leaf = f"{prefix}transformer.resblocks.{m[1]}.", m[2], m[3]
            layers = max(layers, int(m[1]) + 1)
            if part in ("self_attn.k_proj", "self_attn.v_proj"):
                continue
            if part == "self_attn.q_proj":
                three = [name.replace("q_proj", p) for p in ("q_proj", "k_proj", "v_proj")]
                T[f"{block}attn.in_proj_{leaf}"] = (component, three, "stack", [3 * shape[0]] + shape[1:])
            else:
                T[f"{block}{CLIP[part]}.{leaf}"] = (component, name, "copy", shape)
    T[f"{prefix}logit_scale"] = (component, "", "extra", [])
    if complete:
        width = shapes[f"{root}final_layer_norm.weight"][0]
        T[f"{prefix}text_projection"] = (component, "", "extra", [width, width])
        first = f"{prefix}transformer.resblocks.0."
        for name in [n for n in T if n.startswith(first)]:
            T[name.replace("resblocks.0.", f"resblocks.{layers}.")] = (component, "", "extra", T[name][3])


def layout(shapes, configs):
    """The list of a single file; `shapes` and `configs` by component."""
    T = {}
    for name, shape in shapes["unet"].items():
        T["model.diffusion_model." + unet_name(name, configs["unet"])] = ("unet", name, "copy", shape)
    for name, shape in shapes["vae"].items():
        original, op = vae_name(name, configs["vae"])
        T["first_stage_model." + original] = ("vae", name, op, shape + [1, 1] if op == "conv" else shape)
    xl = "text_encoder_2" in shapes
    if xl or not configs["unet"]["use_linear_projection"]:
        prefix = "conditioner.embedders.0.transformer." if xl else "cond_stage_model.transformer."
        for name, shape in shapes["text_encoder"].items():
            T[prefix + ("" if name.startswith("text_model.") else "text_model.") + name] = ("text_encoder", name, "copy", shape)
        T[f"{prefix}text_model.embeddings.position_ids"] = ("text_encoder", "", "extra", [1, 77])
        if xl:
            open_clip(shapes["text_encoder_2"], "conditioner.embedders.1.model.", "text_encoder_2", False, T)
    else:
        open_clip(shapes["text_encoder"], "cond_stage_model.model.", "text_encoder", True, T)
    # leftovers of training in the published files
    T["alphas_cumprod"] = ("", "", "extra", [1000])
    T["model_ema.decay"] = ("", "", "extra", [])
    return T


def read_folder(folder):
    state, configs = {}, {}
    for part, stem in WEIGHTS.items():
        if os.path.isdir(f"{folder}/{part}"):
            state[part] = load_file(f"{folder}/{part}/{stem}.safetensors")
            configs[part] = json.load(open(f"{folder}/{part}/config.json"))
    return state, configs


def file_of(folder):
    state, configs = read_folder(folder)
    shapes = {part: {n: list(t.shape) for n, t in tensors.items()} for part, tensors in state.items()}
    out = {}
    for name, (part, source, op, shape) in layout(shapes, configs).items():
        if op == "extra":
            out[name] = torch.zeros(shape, dtype=torch.float16)
        elif op == "stack":
            out[name] = torch.cat([state[part][s] for s in source])
        else:
            t = state[part][source]
            out[name] = (t.T if op == "transpose" else t.reshape(shape)).contiguous()
    return out, state, configs


PUBLISHED = {
    "sd15": dict(unet=dict(cross_attention_dim=768, attention_head_dim=8), text=[(768, 12, 12, 768, False)]),
    "sd21": dict(unet=dict(cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True), text=[(1024, 23, 16, 512, False)]),
    "sdxl": dict(unet=dict(cross_attention_dim=2048, attention_head_dim=[5, 10, 20], use_linear_projection=True, addition_embed_type="text_time",
                           addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816, block_out_channels=[320, 640, 1280],
                           transformer_layers_per_block=[1, 2, 10], down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2,
                           up_block_types=["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"]), text=[(768, 12, 12, 768, False), (1280, 32, 20, 1280, True)]),
}


def published(kind):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
    with torch.device("meta"):
        models = {"unet": UNet2DConditionModel(**PUBLISHED[kind]["unet"]),
                  "vae": AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
                                       down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)}
        for i, (width, layers, heads, dim, projected) in enumerate(PUBLISHED[kind]["text"]):
            c = CLIPTextConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads, projection_dim=dim)
            models["text_encoder" + ("_2" if i else "")] = (CLIPTextModelWithProjection if projected else CLIPTextModel)(c)
    shapes = {part: {n: list(t.shape) for n, t in m.state_dict().items() if not n.endswith("position_ids")} for part, m in models.items()}
    return shapes, {"unet": dict(models["unet"].config), "vae": dict(models["vae"].config)}


def check(fixtures):
    """Every list through Diffusers' own readers: they must give back the folder's tensors."""
    from diffusers.loaders import single_file_utils as own
    for kind in ("sd15", "sd21", "sdxl"):
        flat, state, configs = file_of(f"{fixtures}/{kind}-tiny")
        for part, found in (("unet", own.convert_ldm_unet_checkpoint(dict(flat), configs["unet"])), ("vae", own.convert_ldm_vae_checkpoint(dict(flat), configs["vae"]))):
            assert found.keys() == state[part].keys(), (kind, part, found.keys() ^ state[part].keys())
            assert all(torch.equal(found[n].reshape(t.shape), t) for n, t in state[part].items()), (kind, part)
        shapes, configs = published(kind)
        names = layout(shapes, configs)
        meta = {n: torch.empty(s, device="meta") for n, (_, _, _, s) in names.items()}
        assert own.convert_ldm_unet_checkpoint(dict(meta), configs["unet"]).keys() == shapes["unet"].keys()
        assert own.convert_ldm_vae_checkpoint(dict(meta), configs["vae"]).keys() == shapes["vae"].keys()
        if kind != "sd15":
            prefix, part = ("cond_stage_model.model.", "text_encoder") if kind == "sd21" else ("conditioner.embedders.1.model.", "text_encoder_2")
            config = type("C", (), {"config": type("D", (), {"hidden_size": shapes[part]["embeddings.position_embedding.weight" if "embeddings.position_embedding.weight" in shapes[part] else "text_model.embeddings.position_embedding.weight"][1]})})
            found = own.convert_open_clip_checkpoint(config, dict(meta), prefix)
            strip = lambda names: {n.removeprefix("text_model.") for n in names}
            assert strip(found) == strip(shapes[part]), strip(found) ^ strip(shapes[part])
        print(kind, "agrees with Diffusers:", len(flat), "tensors of the fixture,", len(names), "of the published size")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("what", choices=("convert", "layouts", "check")); a.add_argument("source"); a.add_argument("out", nargs="?")
    a = a.parse_args()
    torch.set_grad_enabled(False)
    if a.what == "convert":
        save_file(file_of(a.source)[0], a.out)
    elif a.what == "check":
        check(a.source)
    else:
        os.makedirs(a.out, exist_ok=True)
        for kind in ("sd15", "sd21", "sdxl"):
            state, configs = read_folder(f"{a.source}/{kind}-tiny")
            shapes = {part: {n: list(t.shape) for n, t in tensors.items()} for part, tensors in state.items()}
            both = {"fixture": layout(shapes, configs), "published": layout(*published(kind))}
            lines = ['"%s":{\n%s\n}' % (size, ",\n".join(f"{json.dumps(n)}:{json.dumps(e, separators=(',', ':'))}" for n, e in names.items())) for size, names in both.items()]
            open(f"{a.out}/{kind}.json", "w").write("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
