#!/usr/bin/env bash
# Training, sampling, memory and start-up compared with PyTorch's Python and diffusers, as one Markdown table.
#
#   benchmarks/against-python.sh [--quick] [--rounds N] [--seconds S] [--cases abc] [--device cuda] [--program FOLDER]
#   benchmarks/against-python.sh --peak            what this machine reaches in the operators of the U-Net
#   benchmarks/against-python.sh --publish FOLDER  only publish the C# program, to be copied to another machine; with --device cuda for a GPU
#
# PYTHON names a Python with torch, diffusers and safetensors (default: python3). The table states the libtorch of both sides and whether
# they are the same. Two threads unless OMP_NUM_THREADS is set. On a machine without the .NET SDK, --program runs a published program.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
python=${PYTHON:-python3}

publish() {
    # Compiled ahead of time for this kind of machine, as an application that should start fast is; with the .NET runtime, so that the
    # folder runs where there is none.
    dotnet publish "$here/Diffusion.Core.AgainstPython" -c Release -v:q -tl:off -o "$1" \
        --use-current-runtime --self-contained true -p:PublishReadyToRun=true -p:TorchRuntime="$runtime"
}

folder='' only='' runtime=cpu arguments=()
while [ $# -gt 0 ]; do
    case "$1" in
        --program) folder=$2 && shift ;;
        --publish) folder=$2 only=publish && shift ;;
        --peak) only=peak ;;
        -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit ;;
        --quick) arguments+=("$1") ;;
        --rounds | --seconds | --cases | --settings)
            arguments+=("$1" "${2:?$1 needs a value}")
            shift
            ;;
        --device)
            arguments+=("$1" "$2") runtime=${2%%:*}
            shift
            ;;
        *) echo "against-python.sh: unknown option '$1'; --help lists the options" >&2 && exit 2 ;;
    esac
    shift
done
if [ "$only" = publish ]; then
    publish "$folder"
    cp -r "$here/python" "$here/against-python.sh" "$folder/"
    exit
fi
if [ -z "$folder" ]; then
    folder=$here/../artifacts/publish/against-python
    publish "$folder"
fi
program=$folder/Diffusion.Core.AgainstPython
if [ "$only" = peak ]; then
    exec "$program" peak
fi
if ! "$python" -c 'import torch, diffusers.models, safetensors' 2>/dev/null; then
    echo "against-python.sh: $python cannot import torch, diffusers and safetensors; set PYTHON to one that can." >&2
    exit 2
fi
exec "$python" "$here/python/compare.py" "$program" "${arguments[@]}"
