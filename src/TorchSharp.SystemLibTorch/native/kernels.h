// What the kernels take: plain memory, no libtorch. Each variant of them is compiled for one kind of processor and shares no inline
// function with the rest of the library, so that nothing of it is ever called on another.
#pragma once

#include <cstdint>

namespace kernels {

enum class Type : int32_t { Float, BFloat16, Bool };

// Rows and columns at any distance, counted in elements.
struct Matrix {
    void* data = nullptr;
    int64_t row = 0;
    int64_t column = 0;
    Type type = Type::Float;
};

// One head of one sample.
struct AttentionHead {
    Matrix query;   // [queries, width]
    Matrix key;     // [keys, width]
    Matrix value;   // [keys, valueWidth]
    Matrix output;  // [queries, valueWidth]
    Matrix mask;    // [queries, keys]; no data where there is none
    float* largest; // [queries], the largest logit, and one over the sum of the exponentials of what the others lack to it; kept
    float* share;   // apart, where a log-sum-exp would round large logits
    Matrix outputGradient, queryGradient, keyGradient, valueGradient;
    int64_t queries, keys, width, valueWidth;
    bool causal;
};

struct AttentionKernels {
    // Queries [first, last), and the floats of memory that this takes.
    int64_t (*forwardSpace)(const AttentionHead&);
    void (*forward)(const AttentionHead&, int64_t first, int64_t last, float* space);
    // Keys [first, last), and what they contribute to the gradient of all queries.
    int64_t (*backwardSpace)(const AttentionHead&, int64_t keys);
    void (*backward)(const AttentionHead&, int64_t first, int64_t last, float* space);
};

// One sample [channels, places] that is normalised in groups of channels: either places lie side by side, or channels do.
struct NormSample {
    const float* input;
    const float* outputGradient;
    float* output; // the gradient of the input, on the way back
    const float* weight; // [channels]
    const float* bias;   // [channels]
    float* mean;         // [groups]
    float* deviation;    // [groups], one over it
    float* gradientSum;  // [channels], this sample's part of the gradient of the bias
    float* productSum;   // [channels], and of the weight
    int64_t channels, groups, places;
    double epsilon;
    bool channelsLast;
};

struct NormKernels {
    // Groups [first, last); all of them at once, with memory for four numbers for each channel, where channels lie side by side.
    void (*forward)(const NormSample&, int64_t first, int64_t last, float* space);
    void (*backward)(const NormSample&, int64_t first, int64_t last, float* space);
};

struct SiluKernels {
    void (*forward)(const float* x, float* to, int64_t count);
    void (*backward)(const float* x, const float* gradient, float* to, int64_t count);
};

// Rows [rows, inputs] through a weight [outputs, inputs], all without gaps; both widths are multiples of the kernels' padding.
struct LinearLayer {
    const float *input, *weight, *bias;
    float* output;
    const float* gradient; // of the output
    float *inputGradient, *weightGradient, *biasGradient;
    int64_t rows, inputs, outputs;
};

struct LinearKernels {
    int64_t padding;
    void (*transpose)(const LinearLayer&, float* to);
    // Rows [first, last).
    void (*forward)(const LinearLayer&, const float* transposed, int64_t first, int64_t last);
    void (*inputGradient)(const LinearLayer&, int64_t first, int64_t last);
    // Outputs [first, last).
    void (*weightGradient)(const LinearLayer&, int64_t first, int64_t last);
    void (*biasGradient)(const LinearLayer&);
};

extern const AttentionKernels attention_plain, attention_avx2, attention_avx512;
extern const NormKernels norm_plain, norm_avx2, norm_avx512;
extern const SiluKernels silu_plain, silu_avx2, silu_avx512;
extern const LinearKernels linear_plain, linear_avx2, linear_avx512;

enum class Capability { Plain, Avx2, Avx512 };

// The best that was compiled and this processor runs. ATEN_CPU_CAPABILITY (default, avx2 or avx512) asks for less, as of libtorch.
Capability capability();

// Which of the variants to call.
template <class Kernels> const Kernels& best(const Kernels& plain, const Kernels& avx2, const Kernels& avx512) {
    const auto found = capability();
    return found == Capability::Avx512 ? avx512 : found == Capability::Avx2 ? avx2 : plain;
}

#ifdef WITH_VARIANTS
#define KERNELS(name) kernels::best(kernels::name##_plain, kernels::name##_avx2, kernels::name##_avx512)
#else
#define KERNELS(name) kernels::name##_plain
#endif

} // namespace kernels
