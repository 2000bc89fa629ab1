#!/usr/bin/env bash
# What a step costs beside the network, here and in diffusers, on the same libtorch: needs a Python that imports diffusers over the torch
# whose libtorch the system provider uses (PYTHON=<path>, python3 unless said otherwise). One thread unless OMP_NUM_THREADS says otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} TorchProvider=system

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
dotnet build benchmarks/Diffusion.Core.Benchmarks -c Release -v:q -tl:off
"${PYTHON:-python3}" benchmarks/python/scheduler_steps.py >"$folder/diffusers.tsv"
dotnet run --project benchmarks/Diffusion.Core.Benchmarks -c Release --no-build -- --solvers-beside "$folder/diffusers.tsv"
