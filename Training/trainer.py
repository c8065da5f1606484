"""Trains one network in one-thread processes that share its weights and update them without locks
(Hogwild: Niu et al., 2011). On a busy machine this loses nothing to waiting for the slowest core.

State is saved every two minutes; run the same command again to go on.
"""

import json
import os
import time

import numpy as np
import torch
import torch.multiprocessing as mp


def arguments(parser, minutes, rate):
    parser.add_argument("--state", required=True, help="folder of the resumable state")
    parser.add_argument("--minutes", type=float, default=minutes, help="length of this run")
    parser.add_argument("--cool-down", action="store_true", help="bring the learning rate down to nothing in this run")
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--processes", type=int, default=1)


def adam(model, rate):
    """The optimizers of a model; all follow one schedule of the learning rate."""
    return [torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, betas=(0.9, 0.99), weight_decay=0.01)]


def worker(rank, model, ema, opt_states, shared, make_loss, a, rate_factors, optimizers):
    torch.set_num_threads(1)
    torch.manual_seed(int(time.time()) + 1000 * rank)
    opts = optimizers(model, a.rate)
    if rank < len(opt_states):
        for opt, state in zip(opts, opt_states[rank]):
            opt.load_state_dict(state)
    loss_of = make_loss(rank, a)
    start = last = time.time()
    metrics, base = [], shared["steps"][rank].item()
    parameters = list(model.parameters())
    trained = [p for p in parameters if p.requires_grad]
    slow = rate_factors(model)

    while time.time() - start < a.minutes * 60:
        minutes = shared["minutes"].item() + (time.time() - start) / 60
        # A constant rate, so that training can continue for as long as there is time; the averaged weights are usable at any time,
        # and a last run cools down.
        rate = a.rate * min(1.0, (shared["steps"].sum().item() + 1) / 150)
        if a.cool_down:
            rate *= max(0.0, 1 - (time.time() - start) / (a.minutes * 60))
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = rate
        loss, metric = loss_of(model)
        for p in trained:
            p.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        with torch.no_grad():
            before = {p: p[part].clone() for p, (part, _) in slow.items()}
            for opt in opts:
                opt.step()
            for p, (part, factor) in slow.items():
                p[part] = torch.lerp(before[p], p[part], factor)
        shared["steps"][rank] += 1
        metrics.append(metric)
        if rank:
            if time.time() - last > 110:
                torch.save([opt.state_dict() for opt in opts], f"{a.state}/opt{rank}.pt.tmp")
                os.rename(f"{a.state}/opt{rank}.pt.tmp", f"{a.state}/opt{rank}.pt")
                last = time.time()
            continue
        steps = int(shared["steps"].sum())
        decay = min(0.998, (1 + steps) / (10 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), parameters, 1 - decay)
        if len(metrics) % 25 == 0:
            point = (steps, round(minutes, 2), float(np.mean(metrics[-25:])), steps * a.batch)
            with open(f"{a.state}/curve.jsonl", "a") as f:
                f.write(json.dumps(point) + "\n")
            print(f"steps {steps} samples {point[3]} {minutes:.1f} min  {point[2]:.5f}  {(shared['steps'][0].item() - base) / (time.time() - start):.2f} steps/s here  lr {rate:.1e}", flush=True)
        if time.time() - last > 110:
            save(model, ema, opts, shared["steps"], minutes, a)
            last = time.time()
    if rank == 0:
        save(model, ema, opts, shared["steps"], shared["minutes"].item() + a.minutes, a)


def save(model, ema, opts, steps, minutes, a):
    path = f"{a.state}/state.pt"
    torch.save(dict(model=model.state_dict(), ema=ema.state_dict(), opt=[opt.state_dict() for opt in opts], steps=steps.tolist(), minutes=minutes), path + ".tmp")
    os.rename(path + ".tmp", path)


def train(make_model, make_loss, a, rate_factors=lambda model: {}, optimizers=adam):
    """`make_loss(rank, a)` returns `loss_of(model) -> (loss, metric)`.

    `rate_factors(model)` gives, for some parameters, a part of it and the factor of its learning rate.
    """
    os.makedirs(a.state, exist_ok=True)
    model, ema = make_model(), make_model()
    ema.load_state_dict(model.state_dict())
    shared = dict(steps=torch.zeros(a.processes, dtype=torch.long), minutes=torch.zeros(()))
    opt_states, path = [], f"{a.state}/state.pt"
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False)
        model.load_state_dict(saved["model"]), ema.load_state_dict(saved["ema"])
        shared["minutes"].fill_(saved["minutes"])
        for i, n in enumerate(saved["steps"][:a.processes]):
            shared["steps"][i] = n
        opt_states = [saved["opt"]] + [torch.load(f"{a.state}/opt{i}.pt", weights_only=False) for i in range(1, a.processes)
                                       if os.path.exists(f"{a.state}/opt{i}.pt")]
    print(sum(p.numel() for p in model.parameters()) / 1e6, "M parameters, from step", int(shared["steps"].sum()), flush=True)
    model.share_memory(), ema.requires_grad_(False).share_memory()
    for t in shared.values():
        t.share_memory_()
    mp.start_processes(worker, (model, ema, opt_states, shared, make_loss, a, rate_factors, optimizers), nprocs=a.processes, start_method="fork")
