"""The cost of single operators: one line `name TAB nanoseconds` for each, the fastest of many runs.

The same tensors and names as in benchmarks/Diffusion.Core.Benchmarks/OperatorOverhead.cs.
"""
import time

import torch

PARAMETERS = 400
RUNS = 1000
LEARNING_RATE, BETA1, BETA2, EPSILON, WEIGHT_DECAY = 1e-3, 0.9, 0.999, 1e-8, 0.01


def adam(weight, gradient, first, second):
    weight.mul_(1.0 - LEARNING_RATE * WEIGHT_DECAY)
    first.mul_(BETA1).add_(gradient, alpha=1.0 - BETA1)
    second.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
    weight.addcdiv_(first, second.sqrt().add_(EPSILON), value=-LEARNING_RATE)


def buffers(*shape):
    return torch.randn(shape), torch.randn(shape), torch.zeros(shape), torch.zeros(shape)


def fastest(action, calls):
    best = float("inf")
    for _ in range(RUNS):
        start = time.perf_counter_ns()
        for _ in range(calls):
            action()
        best = min(best, (time.perf_counter_ns() - start) / calls)
    return best


def main():
    left, right, image = torch.randn(8, 8), torch.randn(8, 8), torch.randn(1, 8, 8, 8)
    convolution = torch.nn.Conv2d(8, 8, 3, padding=1)
    flat = buffers(PARAMETERS * 64)
    separate = [buffers(8, 8) for _ in range(PARAMETERS)]

    def one_by_one():
        for tensors in separate:
            adam(*tensors)

    print(f"Conv2d forward, 1x8x8x8, 3x3\t{fastest(lambda: convolution(image), 100):.0f}")
    with torch.no_grad():
        print(f"add, 8x8\t{fastest(lambda: left.add(right), 1000):.0f}")
        print(f"AdamW step, 400 parameters, flat\t{fastest(lambda: adam(*flat), 10):.0f}")
        print(f"AdamW step, 400 parameters, one by one\t{fastest(one_by_one, 1):.0f}")


if __name__ == "__main__":
    main()
