"""Muon (Jordan et al., 2024): orthogonalised momentum for matrices and kernels, Adam for the other parameters.

It is for trainings of few steps; here a step takes about a tenth more time than AdamW's.
"""

import torch

FAST_BFLOAT16 = torch.cpu.get_capabilities().get("avx512_bf16", False)  # elsewhere it is emulated, ten times slower than float32


@torch.no_grad()
def orthogonal(g, steps=5):
    """The nearest (half-)orthogonal matrix of `g`, roughly, by a Newton-Schulz iteration, in bfloat16 where the processor has it."""
    x = g.bfloat16() if FAST_BFLOAT16 else g
    wide = x.shape[0] <= x.shape[1]
    if not wide:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x if wide else x.T).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """Steps of `lr` in the mean square, as Adam's are at their beginning (Liu et al., 2025: 0.2 √max(m, n))."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad.reshape(len(p), -1)
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(g)
                m = state["momentum"].lerp_(g, 1 - group["momentum"])
                update = orthogonal(g.lerp(m, group["momentum"])) * 0.2 * max(g.shape) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(update.reshape(p.shape), alpha=group["lr"])
