#!/usr/bin/env bash
# Short names for the dotnet commands of this repository. Each of them works as well when it is typed in full.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
source samples/options.sh

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
