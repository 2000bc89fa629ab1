#include "kernels.h"

#include <cstdlib>
#include <cstring>

namespace kernels {

Capability capability() {
    static const Capability found = [] {
        const char* wanted = std::getenv("ATEN_CPU_CAPABILITY");
        auto most = Capability::Avx512;
        if (wanted && !std::strcmp(wanted, "default"))
            most = Capability::Plain;
        else if (wanted && !std::strcmp(wanted, "avx2"))
            most = Capability::Avx2;
#ifdef WITH_VARIANTS
        if (most == Capability::Avx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
            return Capability::Avx512;
        if (most >= Capability::Avx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
            return Capability::Avx2;
#endif
        return Capability::Plain;
    }();
    return found;
}

} // namespace kernels
