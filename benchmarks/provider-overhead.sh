#!/usr/bin/env bash
# What the system provider adds to libtorch: the operations of ProviderOverhead from C#, beside the same ones called from C++ on the
# same libtorch. One thread unless OMP_NUM_THREADS says otherwise, so that thread pools do not blur the cost of a call.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} TorchProvider=system

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
src/TorchSharp.SystemLibTorch/native/build.sh "$folder/baseline" benchmarks/native/baseline.cpp
dotnet build benchmarks/Diffusion.Core.Benchmarks -c Release -v:q -tl:off
"$folder/baseline" >"$folder/baseline.tsv"
dotnet run --project benchmarks/Diffusion.Core.Benchmarks -c Release --no-build -- --beside "$folder/baseline.tsv"
