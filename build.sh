#!/usr/bin/env bash
# Everything a checkout can do, in one command. It decides where torch comes from, says so in one line, and then calls dotnet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1

usage() {
    cat <<'EOF'
./build.sh quickstart [OPTIONS]            train on digits and draw some (--help lists the options)
./build.sh vae-digits [OPTIONS]            train a variational autoencoder on binary MNIST, and tell its bound on new digits
./build.sh latent-digits [OPTIONS]         train a diffusion model in its latent space, and draw digits
./build.sh pretrained-digits [OPTIONS]     draw digits with a network that was trained in Python
./build.sh test [--long] [--filter EXPR]   run the tests; --long adds those that take minutes
./build.sh pack                            make the NuGet packages in artifacts/packages
./build.sh bench [ARGS]                    run the benchmarks
./build.sh plots [FOLDER]                  draw the plots of the documentation, in docs/images, and print its tables of orders
./build.sh format [--check]                put the sources in form, or only check that they are

Environment:
  TorchProvider=nuget|system   where torch comes from; without it, the package where it restores and loads, else the system's libtorch
  TorchSharpAssembly=<dll>     a TorchSharp.dll of your own
  TORCH_ROOT=<folder>          the libtorch that the system provider uses; without it, Debian's
EOF
}

die() {
    echo "build.sh: $*" >&2
    exit 1
}

quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# Why the TorchSharp package cannot be used here, or nothing when it can. Any other restore error ends the build.
package_obstacle() {
    local probe=src/Diffusion.Core.Schedules/Diffusion.Core.Schedules.csproj log version packages native missing
    if ! log=$(dotnet restore "$probe" -p:TorchProvider=nuget 2>&1); then
        if grep -qE 'NU110[12].*TorchSharp' <<<"$log"; then
            echo "the package feed has no TorchSharp"
            return
        fi
        echo "$log" >&2
        return 1
    fi
    [ "$(uname -s)" = Linux ] || return 0
    version=$(sed -n 's:.*<TorchSharpVersion>\(.*\)</TorchSharpVersion>.*:\1:p' Directory.Packages.props)
    packages=$(dotnet nuget locals global-packages --list | sed 's/^global-packages: //')
    native=${packages%/}/torchsharp/$version/runtimes/linux-x64/native/libLibTorchSharp.so
    if [ "$(uname -m)" != x86_64 ] || [ ! -f "$native" ]; then
        echo "TorchSharp $version has no native library for Linux $(uname -m)"
        return
    fi
    missing=$(ldd "$native" 2>&1 | sed -n "s/.*version \`\(.*\)' not found.*/\1/p" | sort -u | paste -sd ' ' -)
    if [ -n "$missing" ]; then
        echo "TorchSharp $version restores, but its native library needs $missing, which this system lacks"
        return
    fi
    if ! log=$(dotnet restore tests/TorchSharp.Conformance.Tests/TorchSharp.Conformance.Tests.csproj -p:TorchProvider=nuget 2>&1); then
        if grep -qE 'NU110[12].*libtorch' <<<"$log"; then
            echo "the package feed has no libtorch for TorchSharp $version"
            return
        fi
        echo "$log" >&2
        return 1
    fi
}

install_system_torch() {
    [ -z "${TORCH_ROOT:-}" ] || return 0
    local need=() sudo=()
    [ -e /usr/include/torch/csrc/api/include/torch/version.h ] || need+=(libtorch-dev)
    # The OpenMP build shares its threads with libtorch; the pthread build's own pool would fight them for the cores.
    ldconfig -p 2>/dev/null | grep -q 'libopenblas.so' || need+=(libopenblas0-openmp)
    command -v g++ >/dev/null || need+=(g++)
    [ ${#need[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "needs ${need[*]}: install them, or point TORCH_ROOT at a libtorch"
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    echo "installing ${need[*]} with apt-get"
    quietly "${sudo[@]}" apt-get update
    quietly "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${need[@]}"
}

choose_provider() {
    local why
    command -v dotnet >/dev/null || die "needs the .NET 10 SDK (dotnet was not found)"
    if [ -n "${TorchSharpAssembly:-}" ]; then
        [ -f "$TorchSharpAssembly" ] || die "TorchSharpAssembly: there is no file $TorchSharpAssembly"
        TorchSharpAssembly=$(realpath "$TorchSharpAssembly")
        export TorchSharpAssembly TorchProvider=assembly
        echo "torch provider: $TorchSharpAssembly"
        return
    fi
    case "${TorchProvider:-}" in
        nuget | system) why="as asked" ;;
        '')
            why=$(package_obstacle) || die "restoring TorchSharp failed"
            if [ -n "$why" ]; then
                TorchProvider=system
            else
                TorchProvider=nuget why="the TorchSharp package"
            fi
            ;;
        *) die "TorchProvider is '$TorchProvider'; expected nuget or system" ;;
    esac
    export TorchProvider
    echo "torch provider: $TorchProvider ($why)"
    [ "$TorchProvider" = nuget ] || install_system_torch
}

run_sample() {
    local project=samples/$1
    shift
    choose_provider
    quietly dotnet build "$project" -c Release -tl:off
    exec dotnet run --project "$project" -c Release --no-build -- "$@"
}

run_tests() {
    local filter='' long=0 status=0 log
    while [ $# -gt 0 ]; do
        case "$1" in
            --long) long=1 ;;
            --filter)
                [ $# -gt 1 ] || die "--filter needs an expression"
                filter=$2
                shift
                ;;
            *) die "test: unknown option '$1'" ;;
        esac
        shift
    done
    if [ $long = 0 ]; then
        filter=${filter:+($filter)&}Category!=Long
    fi
    choose_provider
    dotnet build Diffusion.Core.sln -c Release -tl:off -v:q
    log=$(mktemp)
    # One project at a time: torch uses every core by itself.
    dotnet test Diffusion.Core.sln -c Release --no-build -tl:off -m:1 ${filter:+--filter "$filter"} 2>&1 | tee "$log" || status=$?
    awk -v status="$status" '
        match($0, /(Passed|Failed|Skipped)! +- Failed: +[0-9]+, Passed: +[0-9]+, Skipped: +[0-9]+/) {
            split(substr($0, RSTART, RLENGTH), n, /[^0-9]+/)
            failed += n[2]; passed += n[3]; skipped += n[4]
        }
        END {
            # A test process that dies reports no count of its own.
            if (status != 0 && failed == 0) failed = 1
            printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
        }' "$log"
    rm -f "$log"
    return $status
}

command=${1:-help}
[ $# -eq 0 ] || shift
case "$command" in
    quickstart) run_sample Quickstart "$@" ;;
    vae-digits) run_sample VaeDigits "$@" ;;
    latent-digits) run_sample LatentDigits "$@" ;;
    pretrained-digits) run_sample PretrainedDigits "$@" ;;
    plots) run_sample Plots "$@" ;;
    test) run_tests "$@" ;;
    pack)
        # Packages depend on the TorchSharp package, whatever this machine runs on.
        dotnet pack Diffusion.Core.sln -c Release -tl:off -p:TorchProvider=nuget -p:NeedsTorchRuntime=false -o artifacts/packages
        ;;
    bench)
        choose_provider
        dotnet run --project benchmarks/Diffusion.Core.Benchmarks -c Release -- "$@"
        ;;
    format)
        choose_provider
        case "${1:-}" in
            '') dotnet format Diffusion.Core.sln ;;
            --check) dotnet format Diffusion.Core.sln --verify-no-changes ;;
            *) die "format: unknown option '$1'" ;;
        esac
        ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        die "unknown command '$command'"
        ;;
esac
