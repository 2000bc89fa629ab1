"""What a step of a diffusers scheduler costs beside the model: one line `name TAB nanoseconds` for each, the fastest of many walks.

The model's answer is a tensor made beforehand; [4, 3, 64, 64] in float32 on the CPU, 50 steps. A Heun step is two calls.
"""
import sys
import time

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

STEPS = 50
WALKS = int(sys.argv[1]) if len(sys.argv) > 1 else 200

SCHEDULERS = {
    "DDIM": lambda: DDIMScheduler(clip_sample=False, timestep_spacing="trailing"),
    "DPM-Solver++(2M)": lambda: DPMSolverMultistepScheduler(),
    "UniPC-2": lambda: UniPCMultistepScheduler(solver_order=2),
    "Heun": lambda: HeunDiscreteScheduler(),
}


def walk(scheduler, sample, answer):
    scheduler.set_timesteps(STEPS)
    timesteps = list(scheduler.timesteps)
    start = time.perf_counter_ns()
    for t in timesteps:
        scheduler.scale_model_input(sample, t)
        sample = scheduler.step(answer, t, sample).prev_sample
    return (time.perf_counter_ns() - start) / STEPS


def main():
    torch.manual_seed(0)
    sample = torch.randn(4, 3, 64, 64)
    answer = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        for name, create in SCHEDULERS.items():
            scheduler = create()
            best = min(walk(scheduler, sample, answer) for _ in range(WALKS))
            print(f"{name}\t{best:.0f}", flush=True)


if __name__ == "__main__":
    main()
