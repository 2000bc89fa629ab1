// SiLU on the CPU as one node of the graph. libtorch 1.13 computes it by instructions of half the width, and its way back in twice the time.

#include "differentiable.h"
#include "door.h"
#include "kernels.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Elements that are worth a thread.
constexpr int64_t Grain = 32768;

at::Tensor like(const at::Tensor& x) { return at::empty_strided(x.sizes(), x.strides(), x.options()); }

at::Tensor compute(const at::Tensor& x) {
    auto result = like(x);
    const auto from = x.data_ptr<float>();
    const auto to = result.data_ptr<float>();
    const auto& kernel = KERNELS(silu);
    at::parallel_for(0, x.numel(), Grain, [&](int64_t first, int64_t last) { kernel.forward(from + first, to + first, last - first); });
    return result;
}

struct Silu : torch::autograd::Function<Silu> {
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
        context->save_for_backward({x});
        return compute(x);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto x = context->get_saved_variables()[0];
        if (!gradients[0].defined())
            return variable_list(1);
        // By operators, where the gradient itself is to be differentiated.
        if (c10::GradMode::is_enabled())
            return differentiable::gradients({x}, gradients[0], 1, [](const variable_list& given) { return at::silu(given[0]); });
        const auto gradient = gradients[0].strides() == x.strides() ? gradients[0] : like(x).copy_(gradients[0]);
        auto result = like(x);
        const auto from = x.data_ptr<float>();
        const auto along = gradient.data_ptr<float>();
        const auto to = result.data_ptr<float>();
        const auto& kernel = KERNELS(silu);
        at::parallel_for(0, x.numel(), Grain, [&](int64_t first, int64_t last) {
            kernel.backward(from + first, along + first, to + first, last - first);
        });
        return {result};
    }
};

} // namespace

// Leaves null where it does not serve: other devices and types, and tensors with gaps or overlaps.
EXPORT const char* sl_silu(void* input, void** result) {
    using namespace door;
    *result = nullptr;
    return guarded([&] {
        const auto x = borrow(input);
        if (!x.device().is_cpu() || x.layout() != at::kStrided || x.scalar_type() != at::kFloat || x.numel() == 0
            || !x.is_non_overlapping_and_dense())
            return;
        *result = give(c10::GradMode::is_enabled() && x.requires_grad() ? Silu::apply(x) : compute(x));
    });
}
