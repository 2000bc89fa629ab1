// The operations of Diffusion.Core.Benchmarks/ProviderOverhead.cs, called from C++: the time of libtorch alone.
// Prints a line "name TAB nanoseconds" (of the fastest of 1000 batches of a millisecond) for each.

#include <ATen/Parallel.h>
#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t parameters = 400;
constexpr double learningRate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01, tiny = 1e-30;

template <class Operation> double nanoseconds(int64_t count, Operation&& operation) {
    const auto start = Clock::now();
    for (int64_t k = 0; k < count; ++k)
        operation();
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

template <class Operation> void measure(const char* name, Operation&& operation) {
    constexpr double batch = 1e6;
    int64_t count = 1;
    while (nanoseconds(count, operation) < batch)
        count *= 2;
    auto fastest = nanoseconds(count, operation);
    for (int k = 1; k < 1000; ++k)
        fastest = std::min(fastest, nanoseconds(count, operation));
    std::printf("%s\t%.1f\n", name, fastest / static_cast<double>(count));
}

struct Separate {
    at::Tensor weight = torch::randn({8, 8}), gradient = torch::randn({8, 8});
    at::Tensor first = torch::zeros({8, 8}), second = torch::zeros({8, 8});

    void step() {
        weight.mul_(1.0 - learningRate * weightDecay);
        first.mul_(beta1).add_(gradient, 1.0 - beta1);
        second.mul_(beta2).addcmul_(gradient, gradient, 1.0 - beta2);
        auto divisor = second.sqrt();
        divisor.add_(epsilon);
        weight.addcdiv_(first, divisor, -learningRate);
    }
};

// The operators of src/Diffusion.Core/AdamW.cs, in its order.
struct Flat {
    static constexpr int64_t length = parameters * 64;
    at::Tensor weights = torch::randn({length}), gradients = torch::randn({length});
    at::Tensor first = torch::zeros({length}), second = torch::zeros({length});
    at::Tensor firstCorrection = torch::zeros({}, torch::kFloat64), secondCorrection = torch::zeros({}, torch::kFloat64);
    at::Tensor one = torch::ones({}, torch::kFloat64), apply = torch::ones({}, torch::kFloat64);

    void step() {
        auto weight1 = apply.mul(1.0 - beta1);
        auto weight2 = apply.mul(1.0 - beta2);
        firstCorrection.lerp_(one, weight1);
        secondCorrection.lerp_(one, weight2);
        first.mul_(weight1.mul(-1.0).add_(1.0).to(torch::kFloat32)).add_(gradients, 1.0 - beta1);
        second.mul_(weight2.mul(-1.0).add_(1.0).to(torch::kFloat32)).addcmul_(gradients, gradients, 1.0 - beta2);
        auto scale = secondCorrection.clamp_min(tiny).sqrt_();
        auto size = apply.mul(-learningRate).mul_(scale).div_(firstCorrection.clamp_min(tiny));
        auto divisor = second.sqrt();
        auto direction = first.div(divisor.add_(scale.mul(epsilon).to(torch::kFloat32)));
        weights.mul_(apply.mul(learningRate * weightDecay).mul(-1.0).add_(1.0).to(torch::kFloat32));
        weights.addcmul_(direction, size.to(torch::kFloat32), 1.0);
    }
};

} // namespace

int main() {
    if (!std::getenv("OMP_NUM_THREADS"))
        at::set_num_threads(static_cast<int>(std::thread::hardware_concurrency()));
    auto left = torch::randn({8, 8}), right = torch::randn({8, 8}), image = torch::randn({1, 8, 8, 8});
    torch::nn::Conv2d convolution(torch::nn::Conv2dOptions(8, 8, 3).padding(1));
    Flat flat;
    std::vector<Separate> separate(parameters);

    measure("add, 8x8", [&] { auto sum = left.add(right); });
    measure("Conv2d forward, 1x8x8x8, 3x3", [&] { auto result = convolution->forward(image); });
    at::NoGradGuard mode;
    measure("AdamW step, 400 parameters, flat", [&] { flat.step(); });
    measure("AdamW step, 400 parameters, one by one", [&] {
        for (auto& parameter : separate)
            parameter.step();
    });
}
