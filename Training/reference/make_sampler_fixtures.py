"""Runs of samplers on given predictions and noise, every latent out, by Diffusers and k-diffusion:

    /work/venv/bin/pip install --no-deps --target /tmp/kd k-diffusion==0.1.1.post1 torchsde trampoline
    /work/venv/bin/python Training/reference/make_sampler_fixtures.py /tmp/kd Tests/Fixtures/samplers.json

From k-diffusion comes DPM++ 3M SDE: the third order of Diffusers' `sde-dpmsolver++` has a term of the wrong sign. The
levels of ComfyUI's "simple" and "ays" are written out here, and run by Euler's method. Samplers that have no such levels in
Diffusers are run over them by k-diffusion (`euler_a`; `ddim`, which is Euler's method on the variance-exploding latent), by
Diffusers on custom timesteps where levels are whole timesteps (`lcm`, `ddpm` on "simple"), and else by the formulas of
ComfyUI's samplers of these names, which are written out.
"""

import importlib
import json
import sys
import types
import warnings

sys.path.append(sys.argv[1])
import diffusers
import numpy as np
import torch

warnings.filterwarnings("ignore")
diffusers.logging.set_verbosity_error()

BASE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            prediction_type="epsilon", steps_offset=1)
SIZE = 4


def numbers(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def entry(kind, steps, config, choice, timesteps, start, outputs, noise, latents, initial):
    rows = lambda t: [[float(f"{v:.9g}") for v in row] for row in t.reshape(-1, SIZE).tolist()]
    return dict(scheduler=kind, steps=steps, config=config, choice=choice, timesteps=[float(t) for t in timesteps],
                init_noise_sigma=float(initial), start=rows(start)[0], outputs=rows(outputs), noise=rows(noise),
                latents=rows(torch.stack(latents)))


def run(name, steps, **options):
    kind = getattr(diffusers, name)
    keys = set(__import__("inspect").signature(kind.__init__).parameters)
    config = {k: v for k, v in (BASE | options).items() if k in keys}
    scheduler = kind(**config)
    scheduler.set_timesteps(steps)
    count = len(scheduler.timesteps)
    noise, start, outputs = numbers(3, count, 1, 1, 1, SIZE), numbers(1, 1, 1, 1, SIZE), numbers(2, count, 1, 1, 1, SIZE)
    now = dict(i=0, middle=None)
    sys.modules[kind.__module__].randn_tensor = lambda *args, **kwargs: noise[now["i"]]
    if name == "DPMSolverSDEScheduler":
        def brownian(a, b):
            # Increments of one Brownian motion over sigma: the second includes the first.
            a, b, z = float(a), float(b), noise[now["i"]]
            if now["middle"] is None:
                now["middle"] = (b, z)
                return z
            (m, first), now["middle"] = now["middle"], None
            part = (a - m) / (a - b)
            return part ** 0.5 * first + (1 - part) ** 0.5 * z
        scheduler.noise_sampler = brownian
    x, latents = start * scheduler.init_noise_sigma, []
    for i, (t, output) in enumerate(zip(scheduler.timesteps, outputs)):
        now["i"] = i
        scheduler.scale_model_input(x, t)
        x = scheduler.step(output, t, x, return_dict=False)[0].float()
        latents.append(x)
    config["_class_name"] = name
    return entry(None, steps, config, {}, scheduler.timesteps, start, outputs, noise, latents, scheduler.init_noise_sigma)


def sampling(folder):
    sys.modules["torchdiffeq"] = types.ModuleType("torchdiffeq")
    sys.modules["torchdiffeq"].odeint = None
    package = types.ModuleType("k_diffusion")
    package.__path__ = [f"{folder}/k_diffusion"]
    sys.modules["k_diffusion"] = package
    sys.modules["k_diffusion.utils"] = types.ModuleType("k_diffusion.utils")
    sys.modules["k_diffusion.utils"].append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
    package.utils = sys.modules["k_diffusion.utils"]
    return importlib.import_module("k_diffusion.sampling")


def k_run(k, kind, function, steps, levels_of, **options):
    """k-diffusion's sampler over the levels of a Diffusers scheduler."""
    scheduler = getattr(diffusers, levels_of)(**BASE, **options)
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.double()
    noise, start, outputs = numbers(3, steps, 1, 1, 1, SIZE), numbers(1, 1, 1, 1, SIZE), numbers(2, steps, 1, 1, 1, SIZE)
    fed, latents = iter(outputs.double()), []
    scale = lambda s: (1 + s * s) ** 0.5

    def model(x, sigma):
        return x - sigma * next(fed)

    def noise_sampler(a, b):
        return noise[int((sigmas == a).nonzero()[0])].double()

    def seen(state):
        if state["i"] > 0:
            latents.append((state["x"] / scale(state["sigma"])).float())

    x = getattr(k, function)(model, start.double() * scale(sigmas[0]), sigmas, noise_sampler=noise_sampler,
                             callback=seen, disable=True)
    latents.append(x.float())
    config = BASE | options | dict(_class_name=levels_of)
    return entry(kind, steps, config, {}, scheduler.timesteps, start, outputs, noise, latents, 1)


def levels_run(spacing, steps, sigmas):
    """Euler's method over given levels."""
    scheduler = diffusers.EulerDiscreteScheduler(**BASE)
    scheduler.set_timesteps(sigmas=sigmas + [0.0])
    start, outputs = numbers(1, 1, 1, 1, SIZE), numbers(2, steps, 1, 1, 1, SIZE)
    x, latents = start * scheduler.sigmas[0], []
    for t, output in zip(scheduler.timesteps, outputs):
        scheduler.scale_model_input(x, t)
        x = scheduler.step(output, t, x, return_dict=False)[0]
        latents.append(x)
    return entry("euler", steps, BASE | dict(_class_name="EulerDiscreteScheduler"), dict(sigmas=spacing),
                 scheduler.timesteps, start, outputs, numbers(3, steps, SIZE), latents, scheduler.sigmas[0])


def levels_of(spacing, steps):
    """Levels without the final zero, and their timesteps, as Euler's method has them."""
    if spacing in ["karras", "exponential", "beta"]:
        scheduler = diffusers.EulerDiscreteScheduler(**BASE, **{f"use_{spacing}_sigmas": True})
        scheduler.set_timesteps(steps)
        return scheduler.sigmas[:-1].double().tolist(), scheduler.timesteps.tolist()
    trained = ((1 - (a := diffusers.EulerDiscreteScheduler(**BASE).alphas_cumprod)) / a).sqrt().double()
    logs = np.log(trained.numpy())
    if spacing == "simple":
        times = [999 - int(i * 1000 / steps) for i in range(steps)]
        return [float(trained[t]) for t in times], times
    if spacing == "sgm_uniform":
        times = np.linspace(999, 0, steps + 1)[:-1]
        return np.exp(np.interp(times, np.arange(1000), logs)).tolist(), times.tolist()
    levels = np.exp(np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, 11), np.log(PUBLISHED[spacing])))[:-1]
    return levels.tolist(), np.interp(np.log(levels), logs, np.arange(1000)).tolist()


def chosen_run(k, kind, spacing, steps, name="EulerDiscreteScheduler"):
    """A sampler over levels that its class does not have."""
    levels, timesteps = levels_of(spacing, steps)
    sigmas = torch.tensor(levels + [0.0], dtype=torch.float64)
    noise, start, outputs = numbers(3, steps, 1, 1, 1, SIZE), numbers(1, 1, 1, 1, SIZE), numbers(2, steps, 1, 1, 1, SIZE)
    fed, latents = iter(outputs.double()), []
    explodes = kind == "euler_a"
    scale = lambda s: 1 if explodes else (1 + s * s) ** 0.5
    z = lambda s: noise[int((sigmas == s).nonzero()[0])].double()
    seen = lambda state: latents.append((state["x"] / scale(state["sigma"])).float()) if state["i"] > 0 else None
    model = lambda x, sigma: x - sigma * next(fed)
    initial = float(sigmas[0]) if explodes else 1
    x = start.double() * (sigmas[0] if explodes else scale(sigmas[0]))
    if kind == "euler_a":
        x = k.sample_euler_ancestral(model, x, sigmas, noise_sampler=lambda a, b: z(a), callback=seen, disable=True)
    elif kind == "ddim":
        x = k.sample_euler(model, x, sigmas, callback=seen, disable=True)
    else:
        for i in range(steps):
            seen(dict(i=i, x=x, sigma=sigmas[i]))
            now, after = 1 / (1 + sigmas[i] ** 2), 1 / (1 + sigmas[i + 1] ** 2)
            if kind == "lcm":
                x = model(x, sigmas[i]) + sigmas[i + 1] * noise[i].double()
            else:
                flat, alpha = x * now ** 0.5, now / after
                flat = (flat - (1 - alpha) * next(fed) / (1 - now) ** 0.5) / alpha ** 0.5
                if sigmas[i + 1] > 0:
                    flat = flat + ((1 - alpha) * (1 - after) / (1 - now)) ** 0.5 * noise[i].double()
                x = flat / after ** 0.5
    latents.append(x.float())
    return entry(kind, steps, BASE | dict(_class_name=name), dict(sigmas=spacing), timesteps, start, outputs, noise,
                 latents, initial)


def timesteps_run(kind, name, steps, **options):
    """Diffusers' sampler on the whole timesteps of "simple"."""
    scheduler = getattr(diffusers, name)(**BASE | options)
    scheduler.set_timesteps(timesteps=levels_of("simple", steps)[1])
    noise, start, outputs = numbers(3, steps, 1, 1, 1, SIZE), numbers(1, 1, 1, 1, SIZE), numbers(2, steps, 1, 1, 1, SIZE)
    now = dict(i=0)
    sys.modules[type(scheduler).__module__].randn_tensor = lambda *args, **kwargs: noise[now["i"]]
    x, latents = start, []
    for i, (t, output) in enumerate(zip(scheduler.timesteps, outputs)):
        now["i"] = i
        x = scheduler.step(output, t, x, return_dict=False)[0]
        latents.append(x)
    return entry(kind, steps, BASE | options | dict(_class_name="EulerDiscreteScheduler"), dict(sigmas="simple"),
                 scheduler.timesteps, start, outputs, noise, latents, 1)


PUBLISHED = dict(ays=[14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
                 ays_sdxl=[14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029])
# Diffusers' copy of the same schedules; it leaves the last level to the sampler.
schedules = diffusers.schedulers.AysSchedules
assert PUBLISHED["ays"][:-1] == schedules["StableDiffusionSigmas"][:-1]
assert PUBLISHED["ays_sdxl"][:-1] == schedules["StableDiffusionXLSigmas"][:-1]

runs, add = [], lambda *a, **k: runs.append(run(*a, **k))
SPACINGS = ["leading", "linspace", "trailing"]
LEVELS = [{f"use_{name}_sigmas": True} for name in ["karras", "exponential", "beta"]]
V = dict(prediction_type="v_prediction")

DPM = "DPMSolverMultistepScheduler"
for order in [1, 2, 3]:
    for algorithm in ["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"]:
        if order == 3 and algorithm.startswith("sde"):
            continue
        final = "zero" if algorithm.endswith("++") else "sigma_min"
        for solver in ["midpoint", "heun"]:
            for steps in [5, 16]:
                add(DPM, steps, solver_order=order, algorithm_type=algorithm, solver_type=solver, final_sigmas_type=final)
        add(DPM, 6, solver_order=order, algorithm_type=algorithm, final_sigmas_type="sigma_min", lower_order_final=False, **V)
        add(DPM, 16, solver_order=order, algorithm_type=algorithm, final_sigmas_type="sigma_min", euler_at_final=True)
for name in [DPM, "UniPCMultistepScheduler", "DEISMultistepScheduler"]:
    for levels in LEVELS:
        add(name, 7, **levels)
for order in [1, 2, 3]:
    for steps in [5, 16]:
        add("UniPCMultistepScheduler", steps, solver_order=order)
        add("DEISMultistepScheduler", steps, solver_order=order)
    add("UniPCMultistepScheduler", 6, solver_order=order, solver_type="bh1", final_sigmas_type="sigma_min", **V)
    add("UniPCMultistepScheduler", 6, solver_order=order, predict_x0=False, final_sigmas_type="sigma_min")
    add("UniPCMultistepScheduler", 6, solver_order=order, lower_order_final=False, final_sigmas_type="sigma_min")
    add("DEISMultistepScheduler", 6, solver_order=order, lower_order_final=False, **V)
for name in ["HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
             "LMSDiscreteScheduler", "DPMSolverSDEScheduler"]:
    for spacing in SPACINGS:
        add(name, 6, timestep_spacing=spacing)
    for levels in LEVELS:
        add(name, 6, **levels)
    add(name, 4, **V)
for steps in [2, 7]:
    for spacing in ["leading", "trailing"]:
        add("PNDMScheduler", steps, skip_prk_steps=True, timestep_spacing=spacing)
add("PNDMScheduler", 6, skip_prk_steps=True, set_alpha_to_one=True, **V)
for spacing in SPACINGS:
    add("DDPMScheduler", 6, clip_sample=False, timestep_spacing=spacing)
    add("UniPCMultistepScheduler", 6, timestep_spacing=spacing)
add("DDPMScheduler", 6, clip_sample=False, **V)
for steps in [1, 4, 7]:
    add("TCDScheduler", steps)
add("TCDScheduler", 4, **V)
add("EulerDiscreteScheduler", 6, interpolation_type="log_linear")
add("EulerDiscreteScheduler", 6, interpolation_type="log_linear", timestep_spacing="trailing")
for levels in LEVELS:
    add("EulerDiscreteScheduler", 6, **levels)

k = sampling(sys.argv[1])
for steps in [5, 16]:
    for levels in [{}, LEVELS[0]]:
        runs.append(k_run(k, "dpmpp_3m_sde", "sample_dpmpp_3m_sde", steps, DPM, **levels))
        runs.append(k_run(k, "dpmpp_2m_sde", "sample_dpmpp_2m_sde", steps, DPM, **levels))

trained = ((1 - diffusers.EulerDiscreteScheduler(**BASE).alphas_cumprod) / diffusers.EulerDiscreteScheduler(**BASE).alphas_cumprod).sqrt().tolist()
for steps in [4, 10, 13]:
    runs.append(levels_run("simple", steps, [trained[-(1 + int(i * 1000 / steps))] for i in range(steps)]))
    for name, levels in PUBLISHED.items():
        logs = np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, 11), np.log(levels))
        runs.append(levels_run(name, steps, np.exp(logs)[:-1].tolist()))
for kind in ["euler_a", "ddim", "ddpm", "lcm"]:
    for spacing in ["karras", "exponential", "beta", "sgm_uniform", "simple", "ays"]:
        runs.append(chosen_run(k, kind, spacing, 6))
# More steps than the models were distilled on.
runs.append(chosen_run(k, "lcm", "sgm_uniform", 60))
for steps in [4, 7]:
    runs.append(timesteps_run("lcm", "LCMScheduler", steps))
    runs.append(timesteps_run("ddpm", "DDPMScheduler", steps, clip_sample=False))
with open(sys.argv[2], "w") as file:
    json.dump(dict(diffusers=diffusers.__version__, k_diffusion="0.1.1.post1", runs=runs), file, separators=(",", ":"))
    file.write("\n")
print(len(runs), "runs")
