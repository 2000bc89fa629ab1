#!/usr/bin/env bash
# The cost of single operators called from C# and from Python. PYTHON names a Python with torch (default: python3). One thread unless
# OMP_NUM_THREADS is set, so that thread pools do not hide the cost of a call.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
dotnet build benchmarks/Diffusion.Core.Benchmarks -c Release -v:q -tl:off
"${PYTHON:-python3}" benchmarks/python/operators.py >"$folder/python.tsv"
dotnet run --project benchmarks/Diffusion.Core.Benchmarks -c Release --no-build -- --operators-against "$folder/python.tsv"
