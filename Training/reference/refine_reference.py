"""Refinement of the enlarged picture in PyTorch, the numerical oracle of `--method refine`.

After PixelRush (arXiv 2602.12769): the finished picture is enlarged, its latent is taken back to a timestep of the
schedule in one evaluation (deterministic DDIM inversion), some random noise is mixed in on the sphere, and a few DDIM
steps return to a clean latent. Windows are fused after every step with Gaussian weights.

All randomness is passed in, as in demofusion_reference.py, from which the windows and their jitter come.
"""

import numpy as np
import torch
from PIL import Image

from demofusion_reference import windows


def slerp(x, y, share):
    """Spherical linear interpolation of whole tensors."""
    u, w = x.double().flatten(), y.double().flatten()
    angle = torch.acos((u @ w / (u.norm() * w.norm())).clamp(-1 + 1e-7, 1 - 1e-7))
    p, q = torch.sin((1 - share) * angle) / torch.sin(angle), torch.sin(share * angle) / torch.sin(angle)
    return p.float() * x + q.float() * y


def gaussian(side):
    """Weights along a side of a window: standard deviation a sixth of it."""
    r = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) / (side / 6)
    return torch.exp(-r * r / 2).float()


def enlarged(picture, height, width):
    """A picture [1, 3, h, w] of -1..1 by Lanczos' window at another size, in 16 bits as the program keeps it."""
    planes = (picture[0].clamp(-1, 1) * 0.5 + 0.5).numpy()
    scaled = [np.asarray(Image.fromarray(p).resize((width, height), Image.LANCZOS)) for p in planes]
    levels = np.round(np.clip(np.stack(scaled), 0, 1) * 65535) / 65535
    return torch.from_numpy(levels.astype(np.float32))[None] * 2 - 1


def predicted_noise(output, x, alpha, prediction):
    return output if prediction == "epsilon" else alpha.sqrt() * output + (1 - alpha).sqrt() * x


def refine(denoise, vae, scheduler, latent, phase_noise, sizes, window, stride, jitter, start, steps, noise, guidance):
    """Stages in `sizes`, a list of (scale, height, width) in latent pixels, from the latent of a finished phase 1.

    `denoise(view, t, crop, guidance)` predicts what the model predicts, guided. Returns one latent per stage.
    """
    alphas, prediction = scheduler.alphas_cumprod, scheduler.config.prediction_type
    factor, scaling = 2 ** (len(vae.config.block_out_channels) - 1), vae.config.scaling_factor
    reach, results = (window - stride) // 4, []

    def whole(x, t, alpha, guidance):
        """The fused prediction of the noise of the whole latent."""
        height, width = x.shape[2:]
        total, weights = torch.zeros_like(x), torch.zeros(1, 1, height, width)
        for top, bottom, left, right in windows(height, width, min(window, height, width), stride, jitter):
            # These count from a margin that no window of ours reads.
            top, left = (min(max(v - reach, 0), n - window) for v, n in ((top, height), (left, width)))
            view = x[:, :, top:top + window, left:left + window]
            out = denoise(view, t, ((top + reach) * factor, (left + reach) * factor), guidance)
            w = torch.outer(gaussian(window), gaussian(window))[None, None]
            total[:, :, top:top + window, left:left + window] += w * out
            weights[:, :, top:top + window, left:left + window] += w
        return predicted_noise(total / weights, x, alpha, prediction)

    first = round(start * scheduler.config.num_train_timesteps) - 1
    times = [max(1, round(first * (steps - i) / steps)) for i in range(steps)]
    for s, height, width in sizes:
        picture = enlarged(vae.decode(latent / scaling).sample, height * factor, width * factor)
        z = vae.encode(picture).latent_dist.mean * scaling
        e = whole(z, 0, alphas[0], 1)
        mixed = slerp(e, phase_noise[s], noise) if noise > 0 else e
        x = alphas[first].sqrt() * z + (1 - alphas[first]).sqrt() * mixed
        for i, t in enumerate(times):
            e = whole(x, t, alphas[t], guidance)
            clean = (x - (1 - alphas[t]).sqrt() * e) / alphas[t].sqrt()
            following = alphas[times[i + 1]] if i + 1 < steps else None
            x = clean if following is None else following.sqrt() * clean + (1 - following).sqrt() * e
        latent = x
        results.append(latent)
    return results
