// Gradients by operators, for a node whose gradient is itself to be differentiated.
#pragma once

#include <ATen/Functions.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

namespace differentiable {

using torch::autograd::variable_list;

// The gradients of the first of a node's inputs, of which it has so many; undefined for those that want none. The function computes the
// node's output from them.
template <class Function>
variable_list gradients(const variable_list& given, const at::Tensor& gradient, size_t inputs, const Function& function) {
    // Aliases, so that a gradient stops at its own input even where one input is made of another, or is the other.
    variable_list aliases, wanted, placed(inputs);
    std::vector<size_t> places;
    for (const auto& x : given) {
        aliases.push_back(x.requires_grad() ? at::alias(x) : x);
        if (x.requires_grad()) {
            places.push_back(aliases.size() - 1);
            wanted.push_back(aliases.back());
        }
    }
    const auto found = torch::autograd::grad({function(aliases)}, wanted, {gradient}, true, true);
    for (size_t k = 0; k < places.size(); ++k)
        placed[places[k]] = found[k];
    return placed;
}

} // namespace differentiable
