#!/bin/sh
# Builds the shim, or a program over the same libtorch:  build.sh <output> [source.cpp]
# TORCH_ROOT is the folder of a libtorch (with include/ and lib/), such as the torch folder of a Python environment; without it,
# the libtorch of the distribution is used. CXX is the compiler, g++ unless said otherwise.
set -eu

output=$1
folder=$(dirname "$0")
source=${2:-}
compiler=${CXX:-g++}
root=${TORCH_ROOT:-}

fail() {
    echo "$1"
    exit 2
}

[ "$(uname -s)" = Linux ] || fail "The system provider runs on Linux; use the TorchSharp package here (TorchProvider=nuget)."
command -v "$compiler" >/dev/null 2>&1 ||
    fail "The system provider needs the C++ compiler $compiler: apt-get install g++ (or set CXX)."

if [ -n "$root" ]; then
    include=$root/include
    lib=$root/lib
    [ -e "$lib/libtorch_cpu.so" ] && [ -e "$include/ATen/core/Tensor.h" ] ||
        fail "TORCH_ROOT=$root is no libtorch: expected include/ATen/core/Tensor.h and lib/libtorch_cpu.so in it."
else
    include=/usr/include
    lib=/usr/lib/$("$compiler" -print-multiarch)
    [ -e "$lib/libtorch_cpu.so" ] && [ -e "$include/ATen/core/Tensor.h" ] ||
        fail "The system provider found no libtorch: apt-get install libtorch-dev libopenblas0-openmp g++, or set TORCH_ROOT to the folder of a libtorch."
fi

# Old builds of libtorch for Python keep the strings of C++98.
abi=0
if nm -D --defined-only "$lib/libc10.so" | grep -q __cxx11; then
    abi=1
fi

# The CUDA (or HIP) half registers itself when loaded; nothing refers to it by name.
devices=
for name in torch_cuda torch_hip; do
    if [ -e "$lib/lib$name.so" ]; then
        devices="$devices -l$name"
    fi
done

# New headers want C++20, which old ones do not know.
number() {
    sed -n "s/^#define TORCH_VERSION_$1 //p" "$include/torch/csrc/api/include/torch/version.h"
}
standard=c++17
if [ "$(number MAJOR)" -gt 2 ] || { [ "$(number MAJOR)" -eq 2 ] && [ "$(number MINOR)" -ge 6 ]; }; then
    standard=c++20
fi

case $output in
    *.so) kind='-fPIC -shared -fvisibility=hidden' ;;
    *) kind= ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
objects=
if [ -z "$source" ]; then
    source="$folder/shim.cpp $folder/attention.cpp $folder/norm.cpp $folder/silu.cpp $folder/linear.cpp $folder/capability.cpp"
    # The kernels know nothing of libtorch; each is compiled once for every kind of processor, and chosen when it is called.
    kernels() {
        variant=$1
        shift
        for kernel in attention norm silu linear; do
            object=$scratch/${kernel}_$variant.o
            "$compiler" -std=c++17 -O3 -fPIC -fvisibility=hidden -c -Wall "-DVARIANT(name)=name##_$variant" "$@" \
                "$folder/${kernel}_kernel.cpp" -o "$object"
            objects="$objects $object"
        done
    }
    kernels plain
    case $("$compiler" -dumpmachine) in
        x86_64*)
            kernels avx2 -mavx2 -mfma
            kernels avx512 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma -mprefer-vector-width=512
            objects="-DWITH_VARIANTS $objects" ;;
    esac
fi

# shellcheck disable=SC2086
"$compiler" -std=$standard -O2 $kind -Wall -D_GLIBCXX_USE_CXX11_ABI=$abi \
    ${root:+-isystem "$include"} -isystem "$include/torch/csrc/api/include" $source $objects -o "$scratch/made" \
    -L"$lib" ${root:+-Wl,-rpath,"$lib"} -ltorch_cpu -lc10 -Wl,--no-as-needed -ltorch $devices -Wl,--as-needed -ldl

# A new file in the place of the old one: a program that runs keeps the one it has loaded.
mv -f "$scratch/made" "$output"
