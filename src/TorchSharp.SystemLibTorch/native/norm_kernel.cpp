// Group norm of one sample (Wu and He 2018, eq. 1 to 7), forward and backward. Places of a channel lie side by side, or channels of a
// place do: either way a lane goes along what lies side by side.

#include "kernels.h"
#include "vector.h"

#include <math.h>
#include <string.h>

namespace {

using kernels::NormSample;

// A sum over places side by side, in parts that do not depend on where in memory they lie.
template <class Term> inline float sumOver(int64_t count, Term&& term) {
    Float part[4] = {};
    int64_t i = 0;
    for (; i + 4 * Lanes <= count; i += 4 * Lanes)
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u)
            part[u] += term.vector(i + u * Lanes);
    for (; i + Lanes <= count; i += Lanes)
        part[0] += term.vector(i);
    float sum = total((part[0] + part[1]) + (part[2] + part[3]));
    for (; i < count; ++i)
        sum += term.single(i);
    return sum;
}

struct Sum {
    const float* x;
    Float vector(int64_t i) const { return load(x + i); }
    float single(int64_t i) const { return x[i]; }
};

struct Squares {
    const float* x;
    float mean;
    Float vector(int64_t i) const {
        const Float d = load(x + i) - mean;
        return d * d;
    }
    float single(int64_t i) const { return (x[i] - mean) * (x[i] - mean); }
};

// Of gradient times what an input lacks to the mean.
struct Products {
    const float *gradient, *x;
    float mean;
    Float vector(int64_t i) const { return load(gradient + i) * (load(x + i) - mean); }
    float single(int64_t i) const { return gradient[i] * (x[i] - mean); }
};

void keep(const NormSample& sample, int64_t group, int64_t count, float mean, float squares) {
    sample.mean[group] = mean;
    sample.deviation[group] = static_cast<float>(1 / sqrt(squares / static_cast<double>(count) + sample.epsilon));
}

void forwardPlanes(const NormSample& sample, int64_t first, int64_t last) {
    const int64_t width = sample.channels / sample.groups, count = width * sample.places;
    for (int64_t group = first; group < last; ++group) {
        const float* const x = sample.input + group * count;
        float* const y = sample.output + group * count;
        const float mean = sumOver(count, Sum{x}) / static_cast<float>(count);
        keep(sample, group, count, mean, sumOver(count, Squares{x, mean}));
        for (int64_t c = 0; c < width; ++c) {
            const int64_t channel = group * width + c, start = c * sample.places;
            const float scale = sample.deviation[group] * sample.weight[channel];
            const float shift = sample.bias[channel];
            int64_t i = start;
            for (; i + Lanes <= start + sample.places; i += Lanes)
                store(y + i, (load(x + i) - mean) * scale + shift);
            for (; i < start + sample.places; ++i)
                y[i] = (x[i] - mean) * scale + shift;
        }
    }
}

void backwardPlanes(const NormSample& sample, int64_t first, int64_t last) {
    const int64_t width = sample.channels / sample.groups, count = width * sample.places;
    for (int64_t group = first; group < last; ++group) {
        const float* const x = sample.input + group * count;
        const float* const gradient = sample.outputGradient + group * count;
        float* const to = sample.output + group * count;
        const float mean = sample.mean[group], deviation = sample.deviation[group];
        float plain = 0, product = 0;
        for (int64_t c = 0; c < width; ++c) {
            const int64_t channel = group * width + c, start = c * sample.places;
            const float weight = sample.weight[channel];
            sample.gradientSum[channel] = sumOver(sample.places, Sum{gradient + start});
            sample.productSum[channel] = deviation * sumOver(sample.places, Products{gradient + start, x + start, mean});
            plain += weight * sample.gradientSum[channel];
            product += weight * sample.productSum[channel];
        }
        const float slope = deviation * deviation * product / static_cast<float>(count);
        const float offset = deviation * plain / static_cast<float>(count);
        for (int64_t c = 0; c < width; ++c) {
            const int64_t start = c * sample.places;
            const float scale = deviation * sample.weight[group * width + c];
            int64_t i = start;
            for (; i + Lanes <= start + sample.places; i += Lanes)
                store(to + i, load(gradient + i) * scale - ((load(x + i) - mean) * slope + offset));
            for (; i < start + sample.places; ++i)
                to[i] = gradient[i] * scale - ((x[i] - mean) * slope + offset);
        }
    }
}

// For channels side by side: to[c] += of each place.
template <class Term> void addPlaces(const NormSample& sample, float* to, Term&& term) {
    memset(to, 0, sample.channels * sizeof(float));
    for (int64_t p = 0; p < sample.places; ++p) {
        const int64_t at = p * sample.channels;
        int64_t c = 0;
        for (; c + Lanes <= sample.channels; c += Lanes)
            store(to + c, load(to + c) + term.vector(at + c, c));
        for (; c < sample.channels; ++c)
            to[c] += term.single(at + c, c);
    }
}

struct PlaceSum {
    const float* x;
    Float vector(int64_t at, int64_t) const { return load(x + at); }
    float single(int64_t at, int64_t) const { return x[at]; }
};

struct PlaceSquares {
    const float *x, *mean;
    Float vector(int64_t at, int64_t c) const {
        const Float d = load(x + at) - load(mean + c);
        return d * d;
    }
    float single(int64_t at, int64_t c) const { return (x[at] - mean[c]) * (x[at] - mean[c]); }
};

struct PlaceProducts {
    const float *gradient, *x, *mean;
    Float vector(int64_t at, int64_t c) const { return load(gradient + at) * (load(x + at) - load(mean + c)); }
    float single(int64_t at, int64_t c) const { return gradient[at] * (x[at] - mean[c]); }
};

void forwardPlaces(const NormSample& sample, float* space) {
    const int64_t channels = sample.channels, width = channels / sample.groups, count = width * sample.places;
    float *const sum = space, *const mean = sum + channels, *const scale = mean + channels, *const shift = scale + channels;
    addPlaces(sample, sum, PlaceSum{sample.input});
    for (int64_t group = 0; group < sample.groups; ++group) {
        float all = 0;
        for (int64_t c = group * width; c < (group + 1) * width; ++c)
            all += sum[c];
        for (int64_t c = group * width; c < (group + 1) * width; ++c)
            mean[c] = all / static_cast<float>(count);
    }
    addPlaces(sample, sum, PlaceSquares{sample.input, mean});
    for (int64_t group = 0; group < sample.groups; ++group) {
        float all = 0;
        for (int64_t c = group * width; c < (group + 1) * width; ++c)
            all += sum[c];
        keep(sample, group, count, mean[group * width], all);
        for (int64_t c = group * width; c < (group + 1) * width; ++c) {
            scale[c] = sample.deviation[group] * sample.weight[c];
            shift[c] = sample.bias[c];
        }
    }
    for (int64_t p = 0; p < sample.places; ++p) {
        const float* const x = sample.input + p * channels;
        float* const y = sample.output + p * channels;
        int64_t c = 0;
        for (; c + Lanes <= channels; c += Lanes)
            store(y + c, (load(x + c) - load(mean + c)) * load(scale + c) + load(shift + c));
        for (; c < channels; ++c)
            y[c] = (x[c] - mean[c]) * scale[c] + shift[c];
    }
}

void backwardPlaces(const NormSample& sample, float* space) {
    const int64_t channels = sample.channels, width = channels / sample.groups, count = width * sample.places;
    float *const mean = space, *const scale = mean + channels, *const slope = scale + channels, *const offset = slope + channels;
    for (int64_t c = 0; c < channels; ++c)
        mean[c] = sample.mean[c / width];
    addPlaces(sample, sample.gradientSum, PlaceSum{sample.outputGradient});
    addPlaces(sample, sample.productSum, PlaceProducts{sample.outputGradient, sample.input, mean});
    for (int64_t group = 0; group < sample.groups; ++group) {
        const float deviation = sample.deviation[group];
        float plain = 0, product = 0;
        for (int64_t c = group * width; c < (group + 1) * width; ++c) {
            const float weight = sample.weight[c];
            sample.productSum[c] *= deviation;
            plain += weight * sample.gradientSum[c];
            product += weight * sample.productSum[c];
        }
        for (int64_t c = group * width; c < (group + 1) * width; ++c) {
            scale[c] = deviation * sample.weight[c];
            slope[c] = deviation * deviation * product / static_cast<float>(count);
            offset[c] = deviation * plain / static_cast<float>(count);
        }
    }
    for (int64_t p = 0; p < sample.places; ++p) {
        const float* const x = sample.input + p * channels;
        const float* const gradient = sample.outputGradient + p * channels;
        float* const to = sample.output + p * channels;
        int64_t c = 0;
        for (; c + Lanes <= channels; c += Lanes)
            store(
                to + c,
                load(gradient + c) * load(scale + c) - ((load(x + c) - load(mean + c)) * load(slope + c) + load(offset + c)));
        for (; c < channels; ++c)
            to[c] = gradient[c] * scale[c] - ((x[c] - mean[c]) * slope[c] + offset[c]);
    }
}

void forward(const NormSample& sample, int64_t first, int64_t last, float* space) {
    sample.channelsLast ? forwardPlaces(sample, space) : forwardPlanes(sample, first, last);
}

void backward(const NormSample& sample, int64_t first, int64_t last, float* space) {
    sample.channelsLast ? backwardPlaces(sample, space) : backwardPlanes(sample, first, last);
}

} // namespace

namespace kernels {
extern const NormKernels VARIANT(norm) = {forward, backward};
}
