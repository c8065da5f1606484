"""Refinement of the enlarged picture in PyTorch, the numerical oracle of `--method refine`.

After PixelRush (arXiv 2602.12769): the finished picture is enlarged, its latent is taken back to a timestep of the
schedule in one evaluation (deterministic DDIM inversion), some random noise is mixed in on the sphere, and a few
steps return to a clean latent. Windows are fused after every step with Gaussian weights; at the end each has the mean that it had in
the enlarged latent.

All randomness is passed in, as in demofusion_reference.py, from which the windows and their jitter come.
"""

import math

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, LCMScheduler
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


def restored(x, means, places, window):
    """A latent whose windows get back the means of another one: each window's offset, weighted as in fusing."""
    w = torch.outer(gaussian(window), gaussian(window))[None, None]
    # Windows overlap and share pixels: what remains is corrected three more times.
    for _ in range(4):
        total, weights = torch.zeros_like(x), torch.zeros(1, 1, *x.shape[2:])
        for (top, left), mean in zip(places, means):
            part = x[:, :, top:top + window, left:left + window]
            total[:, :, top:top + window, left:left + window] += w * (mean - weighted_mean(part, w))
            weights[:, :, top:top + window, left:left + window] += w
        x = x + total / weights
    return x


def weighted_mean(part, w):
    return (part.double() * w.double()).sum((2, 3), keepdim=True).div(w.double().sum()).float()


def enlarged(picture, height, width):
    """A picture [1, 3, h, w] of -1..1 resized with a Lanczos filter."""
    planes = (picture[0].clamp(-1, 1) * 0.5 + 0.5).numpy()
    scaled = [np.asarray(Image.fromarray(p).resize((width, height), Image.LANCZOS)) for p in planes]
    return torch.from_numpy(np.stack(scaled).clip(0, 1))[None] * 2 - 1


class End:
    """The end of a training schedule: DDIM with eta = 0, down to a clean latent."""

    def __init__(self, base, start, steps):
        self.alphas, self.prediction = base.alphas_cumprod, base.config.prediction_type
        total = base.config.num_train_timesteps
        self.timesteps = [max(0, round(total * start * (steps - i) / steps) - 1) for i in range(steps)]

    def noised(self, z, e):
        a = self.alphas[self.timesteps[0]]
        return a.sqrt() * z + (1 - a).sqrt() * e

    def scaled(self, x, i):
        return x

    def noise_of(self, output, x, t):
        """The noise that the model predicts."""
        a = self.alphas[t]
        return output if self.prediction == "epsilon" else a.sqrt() * output + (1 - a).sqrt() * x

    def step(self, output, i, x, generator):
        e, a = self.noise_of(output, x, self.timesteps[i]), self.alphas[self.timesteps[i]]
        clean = (x - (1 - a).sqrt() * e) / a.sqrt()
        if i + 1 == len(self.timesteps):
            return clean
        a = self.alphas[self.timesteps[i + 1]]
        return a.sqrt() * clean + (1 - a).sqrt() * e


class Diffusers(End):
    """The same end of the schedule with a scheduler of Diffusers."""

    def __init__(self, base, start, steps, kind):
        super().__init__(base, start, steps)
        config = dict(base.config)
        for key in ("timestep_spacing", "final_sigmas_type", "_class_name"):
            config.pop(key, None)
        self.scheduler = kind.from_config(config)
        if kind is LCMScheduler:
            each = base.config.num_train_timesteps // self.scheduler.config.original_inference_steps
            last = self.scheduler.config.original_inference_steps * start
            self.timesteps = [math.ceil(last * (steps - i) / steps - 1e-9) * each - 1 for i in range(steps)]
        self.scheduler.set_timesteps(timesteps=self.timesteps)

    def noised(self, z, e):
        self.scheduler.set_timesteps(timesteps=self.timesteps)
        return self.scheduler.add_noise(z, e, self.scheduler.timesteps[:1])

    def scaled(self, x, i):
        return self.scheduler.scale_model_input(x, self.scheduler.timesteps[i])

    def step(self, output, i, x, generator):
        # Its position in the schedule is looked up for every call.
        more = {} if isinstance(self.scheduler, EulerDiscreteScheduler) else {"generator": generator}
        return self.scheduler.step(output, self.scheduler.timesteps[i], x, **more).prev_sample


class Euler(End):
    """Euler's method with its own levels: ancestral, and over SGM's uniform timesteps."""

    def __init__(self, base, start, steps, ancestral=False, sgm=False):
        super().__init__(base, start, steps)
        self.ancestral = ancestral
        a = self.alphas.numpy().astype(np.float64)
        sigmas = np.sqrt((1 - a) / a).astype(np.float32).astype(np.float64)
        if sgm:
            self.timesteps = list(np.linspace((len(a) - 1) * start, 0, steps + 1)[:-1])
            levels = np.exp(np.interp(self.timesteps, np.arange(len(a)), np.log(sigmas)))
        else:
            levels = sigmas[self.timesteps]
        self.sigmas = [float(s) for s in levels] + [0.0]

    def noised(self, z, e):
        return z + self.sigmas[0] * e

    def scaled(self, x, i):
        return x / (self.sigmas[i] ** 2 + 1) ** 0.5

    def step(self, output, i, x, generator):
        s, down = self.sigmas[i], self.sigmas[i + 1]
        clean = x - s * output if self.prediction == "epsilon" else x / (s * s + 1) - s * output / (s * s + 1) ** 0.5
        up = 0.0
        if self.ancestral:
            up = min(down, (down ** 2 * (s ** 2 - down ** 2) / s ** 2) ** 0.5)
            down = (down ** 2 - up ** 2) ** 0.5
        x = x + (x - clean) / s * (down - s)
        return x + up * torch.randn(x.shape, generator=generator) if up else x


ENDS = {
    "ddim": End,
    "euler": lambda *a: Diffusers(*a, EulerDiscreteScheduler),
    "dpmpp_2m": lambda *a: Diffusers(*a, DPMSolverMultistepScheduler),
    "lcm": lambda *a: Diffusers(*a, LCMScheduler),
    "euler_a": lambda *a: Euler(*a, ancestral=True),
    "sgm_uniform": lambda *a: Euler(*a, sgm=True),
}


def refine(denoise, vae, base, end, latent, phase_noise, sizes, window, stride, jitter, noise, guidance, generators, trace=None):
    """Stages in `sizes`, a list of (scale, height, width) in latent pixels, from the latent of a finished phase 1.

    `denoise(view, t, crop, guidance)` predicts what the model predicts, guided; `base` is the model's scheduler and `end`
    one of ENDS; `generators(scale, step)` gives the noise of samplers that add some. Returns one latent per stage.
    """
    factor, scaling = 2 ** (len(vae.config.block_out_channels) - 1), vae.config.scaling_factor
    reach, results = (window - stride) // 4, []

    def whole(x, t, guidance, trace=None):
        """The fused prediction of the whole latent."""
        height, width = x.shape[2:]
        total, weights = torch.zeros_like(x), torch.zeros(1, 1, height, width)
        places, outs = [], []
        for top, bottom, left, right in windows(height, width, min(window, height, width), stride, jitter):
            # These coordinates count from a margin, which none of our windows reads.
            top, left = (min(max(v - reach, 0), n - window) for v, n in ((top, height), (left, width)))
            view = x[:, :, top:top + window, left:left + window]
            out = denoise(view, t, ((top + reach) * factor, (left + reach) * factor), guidance)
            w = torch.outer(gaussian(window), gaussian(window))[None, None]
            total[:, :, top:top + window, left:left + window] += w * out
            weights[:, :, top:top + window, left:left + window] += w
            places += [top, left]
            outs.append(out)
        if trace is not None:
            trace |= {"windows": torch.tensor(places, dtype=torch.int32), "predictions": torch.cat(outs), "fused": total / weights}
        return total / weights

    for s, height, width in sizes:
        picture = enlarged(vae.decode(latent / scaling).sample, height * factor, width * factor)
        z = vae.encode(picture).latent_dist.mean * scaling
        e = end.noise_of(whole(z, 0, 1, trace), z, 0)
        mixed = slerp(e, phase_noise[s], noise) if noise > 0 else e
        x = end.noised(z, mixed)
        # The means of the enlarged latent, in windows that are not shifted.
        places = [(min(max(top - reach, 0), height - window), min(max(left - reach, 0), width - window))
                  for top, _, left, _ in windows(height, width, window, stride, lambda low, high: 0)]
        w = torch.outer(gaussian(window), gaussian(window))[None, None]
        means = [weighted_mean(z[:, :, t:t + window, l:l + window], w) for t, l in places]
        if trace is not None:
            trace |= {"clean": z, "noise_seen": e, "mixed": mixed, "inverted": x}
            trace = None
        for i, t in enumerate(end.timesteps):
            out = whole(end.scaled(x, i), t, guidance)
            x = end.step(out, i, x, generators(s, i + 1))
        latent = restored(x, means, places, window)
        results.append(latent)
    return results
