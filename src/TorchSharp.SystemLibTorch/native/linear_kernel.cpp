// The three products of a linear layer, y = x w' + b, for layers whose weights fit the second cache: there a tile at a time is all it
// takes. Every element of a result is summed over the whole depth in order, whatever part of the result is asked for.

#include "kernels.h"
#include "vector.h"

namespace {

using kernels::LinearLayer;

// w' [inputs, outputs] of w [outputs, inputs]: what is written lies side by side.
void transpose(const LinearLayer& layer, float* to) {
    for (int64_t o = 0; o < layer.outputs; o += Padding)
        for (int64_t i = 0; i < layer.inputs; ++i)
#pragma GCC unroll 8
            for (int64_t k = 0; k < Padding; ++k)
                to[i * layer.outputs + o + k] = layer.weight[(o + k) * layer.inputs + i];
}

void forward(const LinearLayer& layer, const float* transposed, int64_t first, int64_t last) {
    const int64_t width = layer.outputs;
    float* const to = layer.output + first * width;
    for (int64_t row = 0; row < last - first; ++row)
        for (int64_t o = 0; o < width; o += Padding)
            store<Padding>(to + row * width + o, load<Padding>(layer.bias + o));
    multiply<true, true>(
        last - first, width, layer.inputs, layer.input + first * layer.inputs, layer.inputs, transposed, width, to, width);
}

void inputGradient(const LinearLayer& layer, int64_t first, int64_t last) {
    multiply<true, false>(
        last - first, layer.inputs, layer.outputs, layer.gradient + first * layer.outputs, layer.outputs, layer.weight, layer.inputs,
        layer.inputGradient + first * layer.inputs, layer.inputs);
}

// Rows [first, last) of the gradient of the weight, some samples at a time, which stay in the first caches meanwhile.
void weightGradient(const LinearLayer& layer, int64_t first, int64_t last) {
    constexpr int64_t Samples = 256;
    float* const to = layer.weightGradient + first * layer.inputs;
    for (int64_t begin = 0; begin < layer.rows; begin += Samples) {
        const int64_t depth = layer.rows - begin < Samples ? layer.rows - begin : Samples;
        const float* const gradient = layer.gradient + begin * layer.outputs + first;
        const float* const input = layer.input + begin * layer.inputs;
        if (begin == 0)
            multiply<false, false>(last - first, layer.inputs, depth, gradient, layer.outputs, input, layer.inputs, to, layer.inputs);
        else
            multiply<false, true>(last - first, layer.inputs, depth, gradient, layer.outputs, input, layer.inputs, to, layer.inputs);
    }
}

void biasGradient(const LinearLayer& layer) {
    for (int64_t o = 0; o < layer.outputs; o += Padding) {
        Vectors<Padding>::Float sum = {};
        for (int64_t row = 0; row < layer.rows; ++row)
            sum += load<Padding>(layer.gradient + row * layer.outputs + o);
        store<Padding>(layer.biasGradient + o, sum);
    }
}

} // namespace

namespace kernels {
extern const LinearKernels VARIANT(linear) = {Padding, transpose, forward, inputGradient, weightGradient, biasGradient};
}
