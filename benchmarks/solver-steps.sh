#!/usr/bin/env bash
# The cost of a sampler's step without the network, here and in diffusers. PYTHON names a Python with torch and diffusers (default:
# python3). One thread unless OMP_NUM_THREADS is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
dotnet build benchmarks/Diffusion.Core.Benchmarks -c Release -v:q -tl:off
"${PYTHON:-python3}" benchmarks/python/scheduler_steps.py >"$folder/diffusers.tsv"
dotnet run --project benchmarks/Diffusion.Core.Benchmarks -c Release --no-build -- --solvers-against "$folder/diffusers.tsv"
