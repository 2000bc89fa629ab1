// Attention that never holds all weights at once (Dao et al. 2022, algorithms 1 and 4; the running softmax is that of Milakov and
// Gimelshein 2018). A lane of a vector is a query, so that softmax goes across registers and never along one; logits are of base 2.

#include "kernels.h"
#include "vector.h"

#include <float.h>
#include <math.h>
#include <string.h>

namespace {

using kernels::AttentionHead;
using kernels::Matrix;
using kernels::Type;

constexpr int64_t QueryTile = 64;
constexpr int64_t KeyTile = 64;
constexpr float Infinity = __builtin_inff();
constexpr float LogTwoOfE = 1.4426950408889634f;

inline float read(const Matrix& x, int64_t row, int64_t column) {
    const int64_t at = row * x.row + column * x.column;
    if (x.type == Type::Float)
        return static_cast<const float*>(x.data)[at];
    const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(x.data)[at]) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline void write(const Matrix& x, int64_t row, int64_t column, float value) {
    const int64_t at = row * x.row + column * x.column;
    if (x.type == Type::Float) {
        static_cast<float*>(x.data)[at] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    // To the nearest, and to even between two; what is no number stays none.
    const uint32_t rounded = value != value ? 0x7fc0u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    static_cast<uint16_t*>(x.data)[at] = static_cast<uint16_t>(rounded);
}

// Rows [first, first + count) side by side, each filled up with zeros.
void pack(const Matrix& x, int64_t first, int64_t count, int64_t width, int64_t padded, float* to) {
    for (int64_t i = 0; i < count; ++i, to += padded) {
        if (x.type == Type::Float && x.column == 1)
            memcpy(to, static_cast<const float*>(x.data) + (first + i) * x.row, width * sizeof(float));
        else
            for (int64_t c = 0; c < width; ++c)
                to[c] = read(x, first + i, c);
        memset(to + width, 0, (padded - width) * sizeof(float));
    }
}

// The same, turned: [width, lanes], with zeros in the lanes of no row.
void packTurned(const Matrix& x, int64_t first, int64_t count, int64_t width, int64_t lanes, float scale, float* to) {
    for (int64_t c = 0; c < width; ++c) {
        for (int64_t i = 0; i < count; ++i)
            to[c * lanes + i] = scale * read(x, first + i, c);
        memset(to + c * lanes + count, 0, (lanes - count) * sizeof(float));
    }
}

// A number of a mask; one that is finite stays so.
inline float ofBaseTwo(float mask) {
    const float scaled = LogTwoOfE * mask;
    return scaled < -FLT_MAX && mask >= -FLT_MAX ? -FLT_MAX : scaled;
}

// What hides keys from queries, put on logits [keys, lanes].
void hide(const AttentionHead& head, int64_t query, int64_t queries, int64_t key, int64_t keys, int64_t lanes, float* logits) {
    if (head.mask.data) {
        for (int64_t k = 0; k < keys; ++k)
            for (int64_t q = 0; q < queries; ++q) {
                float& logit = logits[k * lanes + q];
                if (head.mask.type != Type::Bool)
                    logit += ofBaseTwo(read(head.mask, query + q, key + k));
                else if (!static_cast<const bool*>(head.mask.data)[(query + q) * head.mask.row + (key + k) * head.mask.column])
                    logit = -Infinity;
            }
    }
    if (head.causal)
        for (int64_t k = 0; k < keys; ++k)
            for (int64_t q = 0; q < queries && query + q < key + k; ++q)
                logits[k * lanes + q] = -Infinity;
}

// Keys up to which a tile of queries sees anything.
int64_t lastKey(const AttentionHead& head, int64_t lastQuery) {
    return head.causal && lastQuery < head.keys ? lastQuery : head.keys;
}

float scaleOf(const AttentionHead& head) { return 1.0f / sqrtf(static_cast<float>(head.width)); }

// One step of the running softmax: logits become weights, and what was summed before is brought to the new largest logit.
void soften(int64_t keys, int64_t lanes, int64_t width, bool first, float* logits, float* largest, float* sum, float* output) {
    for (int64_t j = 0; j < lanes; j += Lanes) {
        const Float before = load(largest + j);
        Float most[4] = {before, before, before, before};
        int64_t k = 0;
        for (; k + 4 <= keys; k += 4)
#pragma GCC unroll 4
            for (int u = 0; u < 4; ++u)
                most[u] = larger(load(logits + (k + u) * lanes + j), most[u]);
        for (; k < keys; ++k)
            most[0] = larger(load(logits + k * lanes + j), most[0]);
        const Float now = larger(larger(most[0], most[1]), larger(most[2], most[3]));
        // A query that has seen nothing yet has no largest logit to subtract.
        const Float base = now == -Infinity ? Float{} : now;
        Float part[2] = {};
        for (k = 0; k + 2 <= keys; k += 2)
#pragma GCC unroll 2
            for (int u = 0; u < 2; ++u) {
                const Float weight = powerOfTwo(load(logits + (k + u) * lanes + j) - base);
                store(logits + (k + u) * lanes + j, weight);
                part[u] += weight;
            }
        for (; k < keys; ++k) {
            const Float weight = powerOfTwo(load(logits + k * lanes + j) - base);
            store(logits + k * lanes + j, weight);
            part[0] += weight;
        }
        store(largest + j, now);
        if (first) {
            store(sum + j, part[0] + part[1]);
            continue;
        }
        const Float shrink = powerOfTwo(before - base);
        store(sum + j, load(sum + j) * shrink + (part[0] + part[1]));
        for (int64_t c = 0; c < width; ++c)
            store(output + c * lanes + j, load(output + c * lanes + j) * shrink);
    }
}

int64_t forwardSpace(const AttentionHead& head) {
    const int64_t width = roundUp(head.width, Padding), valueWidth = roundUp(head.valueWidth, Padding);
    return head.keys * (width + valueWidth) + QueryTile * (width + valueWidth + KeyTile + 2);
}

void forward(const AttentionHead& head, int64_t first, int64_t last, float* space) {
    const int64_t width = roundUp(head.width, Padding), valueWidth = roundUp(head.valueWidth, Padding);
    float* const key = space;
    float* const value = key + head.keys * width;
    float* const query = value + head.keys * valueWidth;
    float* const output = query + QueryTile * width;
    float* const logits = output + QueryTile * valueWidth;
    float* const largest = logits + QueryTile * KeyTile;
    float* const sum = largest + QueryTile;
    const int64_t seen = lastKey(head, last);
    pack(head.key, 0, seen, head.width, width, key);
    pack(head.value, 0, seen, head.valueWidth, valueWidth, value);
    for (int64_t q = first; q < last; q += QueryTile) {
        const int64_t queries = last - q < QueryTile ? last - q : QueryTile;
        const int64_t lanes = roundUp(queries, Lanes);
        packTurned(head.query, q, queries, head.width, lanes, scaleOf(head) * LogTwoOfE, query);
        for (int64_t j = 0; j < lanes; ++j)
            largest[j] = -Infinity;
        memset(sum, 0, lanes * sizeof(float));
        memset(output, 0, valueWidth * lanes * sizeof(float));
        const int64_t end = lastKey(head, q + queries);
        for (int64_t k = 0; k < end; k += KeyTile) {
            const int64_t keys = end - k < KeyTile ? end - k : KeyTile;
            multiply<true, false>(keys, lanes, head.width, key + k * width, width, query, lanes, logits, lanes);
            hide(head, q, queries, k, keys, lanes, logits);
            soften(keys, lanes, head.valueWidth, k == 0, logits, largest, sum, output);
            multiply<false, true>(head.valueWidth, lanes, keys, value + k * valueWidth, valueWidth, logits, lanes, output, lanes);
        }
        for (int64_t i = 0; i < queries; ++i) {
            const bool blind = sum[i] == 0;
            const float share = blind ? 0 : 1 / sum[i];
            head.largest[q + i] = blind ? 0 : largest[i];
            head.share[q + i] = share;
            for (int64_t c = 0; c < head.valueWidth; ++c)
                write(head.output, q + i, c, share * output[c * lanes + i]);
        }
    }
}

int64_t backwardSpace(const AttentionHead& head, int64_t keys) {
    const int64_t width = roundUp(head.width, Padding), valueWidth = roundUp(head.valueWidth, Padding);
    return 2 * keys * (width + valueWidth) + QueryTile * (3 * width + 2 * valueWidth + 2 * KeyTile + 3);
}

void backward(const AttentionHead& head, int64_t first, int64_t last, float* space) {
    const int64_t width = roundUp(head.width, Padding), valueWidth = roundUp(head.valueWidth, Padding), count = last - first;
    float* const key = space;
    float* const keyGradient = key + count * width;
    float* const value = keyGradient + count * width;
    float* const valueGradient = value + count * valueWidth;
    float* const query = valueGradient + count * valueWidth;
    float* const queryTurned = query + QueryTile * width;
    float* const queryGradient = queryTurned + QueryTile * width;
    float* const gradient = queryGradient + QueryTile * width;
    float* const gradientTurned = gradient + QueryTile * valueWidth;
    float* const weights = gradientTurned + QueryTile * valueWidth;
    float* const changes = weights + QueryTile * KeyTile;
    float* const largest = changes + QueryTile * KeyTile;
    float* const share = largest + QueryTile;
    float* const product = share + QueryTile;
    pack(head.key, first, count, head.width, width, key);
    pack(head.value, first, count, head.valueWidth, valueWidth, value);
    memset(keyGradient, 0, count * width * sizeof(float));
    memset(valueGradient, 0, count * valueWidth * sizeof(float));
    for (int64_t q = 0; q < head.queries; q += QueryTile) {
        const int64_t queries = head.queries - q < QueryTile ? head.queries - q : QueryTile;
        const int64_t lanes = roundUp(queries, Lanes);
        packTurned(head.query, q, queries, head.width, lanes, scaleOf(head) * LogTwoOfE, queryTurned);
        pack(head.query, q, queries, head.width, width, query);
        packTurned(head.outputGradient, q, queries, head.valueWidth, lanes, 1, gradientTurned);
        pack(head.outputGradient, q, queries, head.valueWidth, valueWidth, gradient);
        memset(queryGradient, 0, head.width * lanes * sizeof(float));
        for (int64_t i = 0; i < lanes; ++i) {
            largest[i] = i < queries ? head.largest[q + i] : 0;
            share[i] = i < queries ? head.share[q + i] : 0;
            product[i] = 0;
            for (int64_t c = 0; i < queries && c < head.valueWidth; ++c)
                product[i] += gradient[i * valueWidth + c] * read(head.output, q + i, c);
        }
        const int64_t seen = lastKey(head, q + queries), end = seen < last ? seen : last;
        for (int64_t k = first; k < end; k += KeyTile) {
            const int64_t keys = end - k < KeyTile ? end - k : KeyTile;
            const int64_t at = (k - first) * width, valueAt = (k - first) * valueWidth;
            multiply<true, false>(keys, lanes, head.width, key + at, width, queryTurned, lanes, weights, lanes);
            hide(head, q, queries, k, keys, lanes, weights);
            multiply<true, false>(keys, lanes, head.valueWidth, value + valueAt, valueWidth, gradientTurned, lanes, changes, lanes);
            for (int64_t i = 0; i < keys; ++i)
                for (int64_t j = 0; j < lanes; j += Lanes) {
                    const Float weight = powerOfTwo(load(weights + i * lanes + j) - load(largest + j)) * load(share + j);
                    store(weights + i * lanes + j, weight);
                    store(changes + i * lanes + j, weight * (load(changes + i * lanes + j) - load(product + j)));
                }
            multiply<true, true>(keys, valueWidth, queries, weights, lanes, gradient, valueWidth, valueGradient + valueAt, valueWidth);
            multiply<false, true>(head.width, lanes, keys, key + at, width, changes, lanes, queryGradient, lanes);
            multiply<true, true>(keys, width, queries, changes, lanes, query, width, keyGradient + at, width);
        }
        for (int64_t i = 0; i < queries; ++i)
            for (int64_t c = 0; c < head.width; ++c)
                write(head.queryGradient, q + i, c, scaleOf(head) * queryGradient[c * lanes + i]);
    }
    for (int64_t i = 0; i < count; ++i) {
        for (int64_t c = 0; c < head.width; ++c)
            write(head.keyGradient, first + i, c, scaleOf(head) * keyGradient[i * width + c]);
        for (int64_t c = 0; c < head.valueWidth; ++c)
            write(head.valueGradient, first + i, c, valueGradient[i * valueWidth + c]);
    }
}

} // namespace

namespace kernels {
extern const AttentionKernels VARIANT(attention) = {forwardSpace, forward, backwardSpace, backward};
}
