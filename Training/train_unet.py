"""Trains the UNet on the drawings' latents and their captions. Resumable.

    python train_unet.py --data /path/shards --text /path/text --state /path/unet --minutes 100

Half of the samples are windows of large drawings, and every sample is mirrored half of the time. bfloat16 where it is fast,
else float32. v-prediction with zero terminal SNR; one in nine samples has no prompt (zeros, as SDXL's
`force_zeros_for_empty_prompt`).
"""

import argparse

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

import trainer
from drawings import Drawings, Text
from muon import FAST_BFLOAT16, Muon

UNET = dict(
    sample_size=32, in_channels=4, out_channels=4, block_out_channels=(96, 128, 256), layers_per_block=1, norm_num_groups=8,
    # Attention only where the picture is 8×8, where it costs least; the pooled prompt reaches every block with the time
    # embedding.
    down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 1, 1), attention_head_dim=(3, 4, 8), cross_attention_dim=96 + 128, use_linear_projection=True,
    addition_embed_type="text_time", addition_time_embed_dim=32, projection_class_embeddings_input_dim=128 + 6 * 32,
)
SCHEDULER = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                 prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, set_alpha_to_one=True)


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


def make_loss(a, drawings):
    device, compiled = trainer.DEVICE, []
    acp = DDIMScheduler(**SCHEDULER).alphas_cumprod.float().to(device)

    def loss_of(unet):
        z, ids, context, pooled = drawings.batch(a.batch)
        n = len(z)
        kept = (torch.rand(n, device=device) > 0.11).float()
        context, pooled = context * kept[:, None, None], pooled * kept[:, None]
        t = ((torch.randperm(n, device=device) + torch.rand(n, device=device)) / n * 1000).long().clamp(0, 999)
        alpha = acp[t][:, None, None, None]
        noise = torch.randn_like(z)
        noised = alpha.sqrt() * z + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * z
        # Compiled for the most common size; compiling for the others would not pay off.
        if not compiled:
            compiled.append(torch.compile(unet, dynamic=False) if a.compile else unet)
        network = compiled[0] if z.shape[2] == z.shape[3] else unet
        with torch.autocast(device.type, torch.bfloat16, enabled=FAST_BFLOAT16):
            out = network(noised.contiguous(memory_format=torch.channels_last), t, encoder_hidden_states=context,
                          added_cond_kwargs=dict(text_embeds=pooled, time_ids=ids)).sample.float()
        error = (out - target).pow(2).mean((1, 2, 3))
        snr = (alpha / (1 - alpha)).flatten()
        # Full weight at high noise, where layout and colours are decided; less where little noise is left.
        return (error * (5 / (snr + 1)).clamp(max=1)).mean(), error.detach().mean()

    return loss_of


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="folder of the shards")
    parser.add_argument("--text", required=True)
    parser.add_argument("--begin-from", help="a folder with a trained UNet to begin from")
    parser.add_argument("--begin-with", type=int, default=20_000, help="begin as soon as there are so many drawings")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--compile", action="store_true", help="0.8 of the time, after minutes of compiling; worth it in a long run")
    trainer.arguments(parser, minutes=80, rate=2e-3)
    a = parser.parse_args()

    def first_model():
        begun = make_model()
        if a.begin_from:
            begun.load_state_dict(UNet2DConditionModel.from_pretrained(a.begin_from).float().state_dict())
        return begun

    drawings = Drawings(a.data, trainer.DEVICE, Text(a.text, trainer.DEVICE))
    drawings.wait_for(a.begin_with)
    trainer.train(first_model, make_loss(a, drawings), a, optimizers)
