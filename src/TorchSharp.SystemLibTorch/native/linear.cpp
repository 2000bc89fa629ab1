// A linear layer on the CPU as one node of the graph, for layers so small that calling a library for large matrices takes longer than the
// arithmetic. Larger ones are left to that library.

#include "aligned.h"
#include "door.h"
#include "kernels.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace {

using kernels::LinearLayer;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A transposed weight of this many elements leaves room in the second cache of a core.
constexpr int64_t MostWeights = 1 << 16;
// Rows that are worth a task: a multiple of the rows of every tile.
constexpr int64_t Rows = 48;
constexpr int64_t MostRows = 1 << 14;

const auto& kernel() { return KERNELS(linear); }

float* dataOf(const at::Tensor& x) { return x.data_ptr<float>(); }

LinearLayer layerOf(const at::Tensor& input, const at::Tensor& weight) {
    LinearLayer layer{};
    layer.input = dataOf(input);
    layer.weight = dataOf(weight);
    layer.outputs = weight.size(0);
    layer.inputs = weight.size(1);
    layer.rows = input.numel() / layer.inputs;
    return layer;
}

// Calls a function for stretches of n, no more of them than there are threads.
template <class Function> void share(int64_t n, Function&& function) {
    const auto threads = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), n / Rows));
    const auto length = ((n + threads - 1) / threads + Rows - 1) / Rows * Rows;
    at::parallel_for(0, (n + length - 1) / length, 1, [&](int64_t first, int64_t last) {
        function(first * length, std::min(last * length, n));
    });
}

at::Tensor compute(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
    auto sizes = input.sizes().vec();
    sizes.back() = weight.size(0);
    auto output = at::empty(sizes, input.options());
    auto layer = layerOf(input, weight);
    layer.bias = dataOf(bias);
    layer.output = dataOf(output);
    const auto transposed = aligned(layer.inputs * layer.outputs);
    kernel().transpose(layer, transposed.get());
    share(layer.rows, [&](int64_t first, int64_t last) { kernel().forward(layer, transposed.get(), first, last); });
    return output;
}

struct Linear : torch::autograd::Function<Linear> {
    static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
        context->save_for_backward({input, weight, bias});
        return compute(input, weight, bias);
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto &input = saved[0], &weight = saved[1], &bias = saved[2];
        variable_list found(3);
        if (!gradients[0].defined())
            return found;
        if (c10::GradMode::is_enabled())
            return again(saved, gradients[0]);
        const auto gradient = gradients[0].contiguous();
        auto layer = layerOf(input, weight);
        layer.gradient = dataOf(gradient);
        if (input.requires_grad()) {
            found[0] = at::empty(input.sizes(), input.options());
            layer.inputGradient = dataOf(found[0]);
            share(layer.rows, [&](int64_t first, int64_t last) { kernel().inputGradient(layer, first, last); });
        }
        if (weight.requires_grad()) {
            found[1] = at::empty(weight.sizes(), weight.options());
            layer.weightGradient = dataOf(found[1]);
            share(layer.outputs, [&](int64_t first, int64_t last) { kernel().weightGradient(layer, first, last); });
        }
        if (bias.requires_grad()) {
            found[2] = at::empty(bias.sizes(), bias.options());
            layer.biasGradient = dataOf(found[2]);
            kernel().biasGradient(layer);
        }
        return found;
    }

    // By operators, where the gradient itself is to be differentiated.
    static variable_list again(const variable_list& saved, const at::Tensor& gradient) {
        variable_list inputs, placed(3);
        std::vector<size_t> places;
        for (size_t k = 0; k < 3; ++k)
            if (saved[k].requires_grad()) {
                inputs.push_back(saved[k]);
                places.push_back(k);
            }
        const auto output = at::add(at::matmul(saved[0], saved[1].t()), saved[2]);
        const auto found = torch::autograd::grad({output}, inputs, {gradient}, true, true);
        for (size_t k = 0; k < places.size(); ++k)
            placed[places[k]] = found[k];
        return placed;
    }
};

bool serves(const at::Tensor& x) {
    return x.device().is_cpu() && x.layout() == at::kStrided && x.scalar_type() == at::kFloat && x.is_contiguous() && x.numel() > 0;
}

} // namespace

// Leaves null where it does not serve: other devices and types, gaps, large layers, and widths that are no whole vectors.
EXPORT const char* sl_linear(void* input, void* weight, void* bias, void** result) {
    using namespace door;
    *result = nullptr;
    return guarded([&] {
        const auto x = borrow(input), w = borrow(weight);
        auto b = borrow(bias);
        if (!serves(x) || !serves(w) || x.dim() < 2 || w.dim() != 2 || w.size(1) != x.size(-1) || w.numel() > MostWeights
            || w.size(0) % kernel().padding != 0 || w.size(1) % kernel().padding != 0 || x.numel() / x.size(-1) > MostRows)
            return;
        if (b.defined() && (!serves(b) || b.dim() != 1 || b.size(0) != w.size(0)))
            return;
        if (!b.defined())
            b = at::zeros({w.size(0)}, x.options());
        const auto learns = x.requires_grad() || w.requires_grad() || b.requires_grad();
        *result = give(c10::GradMode::is_enabled() && learns ? Linear::apply(x, w, b) : compute(x, w, b));
    });
}
