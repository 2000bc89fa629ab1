#!/usr/bin/env bash
# Short names for the dotnet commands of this repository. Each of them works as well when it is typed in full.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1

usage() {
    cat <<'TEXT'
./build.sh quickstart [OPTIONS]            train on digits and draw some (--help lists the options)
./build.sh vae-digits [OPTIONS]            train a variational autoencoder on MNIST and report its bound on new digits
./build.sh latent-digits [OPTIONS]         train a diffusion model in its latent space and draw digits
./build.sh pretrained-digits [OPTIONS]     draw digits with a network that was trained in Python
./build.sh test [--long] [ARGS]            run the tests; --long adds those that take minutes; ARGS go to dotnet test
./build.sh pack                            create the NuGet packages in artifacts/packages
./build.sh bench [ARGS]                    run the benchmarks
./build.sh plots [FOLDER]                  draw the plots of the documentation in docs/images and print its tables of orders
./build.sh format [ARGS]                   format the sources; --verify-no-changes only checks them
TEXT
}

fail() {
    echo "build.sh: $1" >&2
    exit 2
}

# Prints the help of a sample, or checks the options of a sample against its help, before anything is restored or built. The sample checks
# them again.
check() {
    local help=samples/$1/help.txt line name kind values
    shift
    for argument in "$@"; do
        case "$argument" in
            -h | -\? | --help) cat "$help" && exit ;;
        esac
    done
    while [ $# -gt 0 ]; do
        name=${1%%[=:]*} values=()
        line=$(awk -v name="$name" '$1 == name' "$help")
        [ -n "$line" ] || fail "unknown option '$name'; --help lists the options"
        kind=''
        if [[ $line =~ ^\ *--[a-z-]+\ \<([^>]*)\> ]]; then
            kind=${BASH_REMATCH[1]}
        fi
        if [[ $1 == *[=:]* ]]; then
            values=("${1#*[=:]}")
        elif [ -n "$kind" ]; then
            while [ $# -gt 1 ] && [[ $2 != --* ]]; do
                values+=("$2")
                shift
                [[ $kind == numbers:* ]] || break
            done
            [ ${#values[@]} -gt 0 ] || fail "$name needs a value: $kind"
        fi
        shift
        if [ ${#values[@]} -gt 0 ]; then
            for value in "${values[@]}"; do
                check_value "$name" "${kind#numbers: }" "$value"
            done
        fi
    done
}

check_value() {
    local name=$1 kind=$2 value=$3 good=yes
    case "$kind" in
        "whole number"*)
            [[ $value =~ ^-?[0-9]{1,18}$ ]] || good=no
            if [ $good = yes ] && [[ $kind =~ at\ least\ ([0-9]+) ]]; then
                ((value >= BASH_REMATCH[1])) || good=no
            fi
            if [ $good = yes ] && [[ $kind =~ multiple\ of\ ([0-9]+) ]]; then
                ((value % BASH_REMATCH[1] == 0)) || good=no
            fi
            ;;
        number*) [[ $value =~ ^-?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$ ]] || good=no ;;
        *"|"*) [[ "|$kind|" == *"|$value|"* ]] || good=no ;;
    esac
    [ $good = yes ] || fail "$name must be a $kind, got '$value'"
}

sample() {
    local project=samples/$1
    shift
    echo "Building $project. The first build restores packages and takes some minutes." >&2
    dotnet build "$project" -c Release -v minimal >&2
    exec dotnet run --project "$project" -c Release --no-build -- "$@"
}

checked_sample() {
    check "$@"
    sample "$@"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case "$command" in
    quickstart) checked_sample Quickstart "$@" ;;
    vae-digits) checked_sample VaeDigits "$@" ;;
    latent-digits) checked_sample LatentDigits "$@" ;;
    pretrained-digits) checked_sample PretrainedDigits "$@" ;;
    plots)
        case "${1:-}" in
            -*) usage && exit ;;
        esac
        sample Plots "$@"
        ;;
    test)
        settings=()
        if [ "${1:-}" = --long ]; then
            settings=("-p:RunSettingsFilePath=$PWD/tests/long.runsettings")
            shift
        fi
        exec dotnet test -c Release "${settings[@]}" "$@"
        ;;
    pack) exec dotnet pack -c Release -o artifacts/packages ;;
    bench) exec dotnet run --project benchmarks/Diffusion.Core.Benchmarks -c Release -- "$@" ;;
    format) exec dotnet format Diffusion.Core.sln "$@" ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        echo "build.sh: unknown command '$command'" >&2
        exit 2
        ;;
esac
