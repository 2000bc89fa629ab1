// Memory of a task, on lines of the cache.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

struct FreeMemory {
    void operator()(float* memory) const { std::free(memory); }
};

using Aligned = std::unique_ptr<float, FreeMemory>;

inline Aligned aligned(int64_t floats) {
    const auto bytes = (static_cast<size_t>(std::max<int64_t>(floats, 1)) * sizeof(float) + 63) / 64 * 64;
    auto memory = static_cast<float*>(std::aligned_alloc(64, bytes));
    if (!memory)
        throw std::bad_alloc();
    return Aligned(memory);
}
