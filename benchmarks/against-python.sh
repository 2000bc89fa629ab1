#!/usr/bin/env bash
# Training, sampling, memory and start-up beside PyTorch's Python and diffusers on the same libtorch and threads, as one Markdown table.
# Needs a Python that imports diffusers over the torch whose libtorch the system provider uses (PYTHON=<path>, python3 unless said
# otherwise). Two threads unless OMP_NUM_THREADS says otherwise. --quick is a smoke run; --peak tells what the machine could do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1} TorchProvider=system
python=${PYTHON:-python3}

if ! "$python" -c 'import diffusers.models' 2>/dev/null; then
    echo "against-python.sh: $python cannot import torch and diffusers; set PYTHON to one that can." >&2
    exit 2
fi
# Compiled ahead for this machine, as an application that wants to start fast is.
folder=$PWD/artifacts/system/publish/against-python
dotnet publish benchmarks/Diffusion.Core.AgainstPython -c Release -v:q -tl:off -o "$folder" \
    --use-current-runtime --self-contained false -p:PublishReadyToRun=true
program=$folder/Diffusion.Core.AgainstPython
case "${1:-}" in
    --peak) exec "$program" peak ;;
    *) exec "$python" benchmarks/python/compare.py "$program" "$@" ;;
esac
