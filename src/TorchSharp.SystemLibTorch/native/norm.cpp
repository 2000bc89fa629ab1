// Group norm on the CPU as one node of the graph: libtorch's own way back takes as long as a convolution where it need only read what
// it is given. The node keeps the input and two numbers for each group.

#include "aligned.h"
#include "differentiable.h"
#include "door.h"
#include "kernels.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

namespace {

using kernels::NormSample;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Channels side by side, without gaps.
bool channelsLast(const at::Tensor& x) {
    if (x.is_contiguous() || x.dim() < 3 || (x.size(1) > 1 && x.stride(1) != 1))
        return false;
    auto expected = x.size(1);
    for (auto d = x.dim() - 1; d >= 2; expected *= x.size(d--))
        if (x.size(d) > 1 && x.stride(d) != expected)
            return false;
    return x.size(0) == 1 || x.stride(0) == expected;
}

at::Tensor laidOut(const at::Tensor& x, bool last) { return last ? x.movedim(1, -1).contiguous().movedim(-1, 1) : x.contiguous(); }

const float* dataOf(const at::Tensor& x) { return x.data_ptr<float>(); }

struct Arguments {
    at::Tensor input, weight, bias, mean, deviation;
    int64_t groups;
    double epsilon;

    NormSample sample(int64_t index, const at::Tensor& output) const {
        NormSample found{};
        const auto channels = input.size(1), places = input.numel() / (input.size(0) * channels);
        found.input = dataOf(input) + index * channels * places;
        found.output = output.data_ptr<float>() + index * channels * places;
        found.weight = dataOf(weight);
        found.bias = bias.defined() ? dataOf(bias) : nullptr;
        found.mean = mean.data_ptr<float>() + index * groups;
        found.deviation = deviation.data_ptr<float>() + index * groups;
        found.channels = channels;
        found.groups = groups;
        found.places = places;
        found.epsilon = epsilon;
        found.channelsLast = channelsLast(input);
        return found;
    }

    // Calls a function for groups of samples, or for all groups of each where channels come last.
    template <class Function> void each(const Function& function) const {
        const auto last = channelsLast(input);
        const auto pieces = last ? 1 : groups;
        at::parallel_for(0, input.size(0) * pieces, 1, [&](int64_t begin, int64_t end) {
            const auto space = aligned(last ? 4 * input.size(1) : 0);
            for (auto task = begin; task < end; ++task) {
                const auto first = last ? 0 : task % pieces;
                function(task / pieces, first, last ? groups : first + 1, space.get());
            }
        });
    }
};

struct GroupNorm : torch::autograd::Function<GroupNorm> {
    static at::Tensor forward(
        AutogradContext* context, const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias, int64_t groups, double epsilon) {
        const auto statistics = at::empty({2, input.size(0), groups}, input.options());
        const Arguments given{input, weight, bias, statistics[0], statistics[1], groups, epsilon};
        const auto output = at::empty_strided(input.sizes(), input.strides(), input.options());
        const auto& kernel = KERNELS(norm);
        given.each([&](int64_t sample, int64_t first, int64_t last, float* space) {
            kernel.forward(given.sample(sample, output), first, last, space);
        });
        context->save_for_backward({input, weight, given.mean, given.deviation});
        context->saved_data["groups"] = groups;
        context->saved_data["epsilon"] = epsilon;
        return output;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto groups = context->saved_data["groups"].toInt();
        const auto epsilon = context->saved_data["epsilon"].toDouble();
        if (!gradients[0].defined())
            return variable_list(5);
        if (c10::GradMode::is_enabled())
            return again(saved, groups, epsilon, gradients[0]);
        const auto& input = saved[0];
        const Arguments given{input, saved[1], at::Tensor(), saved[2], saved[3], groups, epsilon};
        const auto gradient = laidOut(gradients[0], channelsLast(input));
        const auto inputGradient = at::empty_strided(input.sizes(), input.strides(), input.options());
        const auto sums = at::empty({2, input.size(0), input.size(1)}, input.options());
        const auto& kernel = KERNELS(norm);
        given.each([&](int64_t index, int64_t first, int64_t last, float* space) {
            auto sample = given.sample(index, inputGradient);
            sample.outputGradient = gradient.data_ptr<float>() + (sample.input - dataOf(input));
            sample.gradientSum = sums.data_ptr<float>() + index * sample.channels;
            sample.productSum = sample.gradientSum + input.size(0) * sample.channels;
            kernel.backward(sample, first, last, space);
        });
        const auto parameters = sums.sum(1);
        return {inputGradient, parameters[1], parameters[0], at::Tensor(), at::Tensor()};
    }

    // By operators, where the gradient itself is to be differentiated.
    static variable_list again(const variable_list& saved, int64_t groups, double epsilon, const at::Tensor& gradient) {
        // No gradient depends on the bias, which is not kept: another one stands for it.
        const auto bias = at::zeros_like(saved[1]).requires_grad_();
        return differentiable::gradients({saved[0], saved[1], bias}, gradient, 5, [&](const variable_list& x) {
            return at::group_norm(x[0], groups, x[1], x[2], epsilon);
        });
    }
};

bool servesParameter(const at::Tensor& x, const at::Tensor& input) {
    return !x.defined() || (x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous() && x.sizes() == input.sizes().slice(1, 1));
}

} // namespace

// Leaves null where it does not serve: other devices and types, tensors with gaps, and what libtorch is to refuse.
EXPORT const char* sl_group_norm(void* input, int64_t groups, void* weight, void* bias, double epsilon, void** result) {
    using namespace door;
    *result = nullptr;
    return guarded([&] {
        const auto x = borrow(input);
        auto w = borrow(weight), b = borrow(bias);
        if (!x.device().is_cpu() || x.layout() != at::kStrided || x.scalar_type() != at::kFloat || x.dim() < 2 || x.numel() == 0 || groups < 1
            || x.size(1) % groups != 0 || !servesParameter(w, x) || !servesParameter(b, x) || (!x.is_contiguous() && !channelsLast(x)))
            return;
        if (!w.defined())
            w = at::ones({x.size(1)}, x.options());
        if (!b.defined())
            b = at::zeros({x.size(1)}, x.options());
        *result = give(GroupNorm::apply(x, w, b, groups, epsilon));
    });
}
