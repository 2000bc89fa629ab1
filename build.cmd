@echo off
rem The NuGet way: TorchSharp and libtorch come from packages. See build.sh for Linux and for other providers.
setlocal
cd /d "%~dp0"
set command=%1
if "%command%"=="" goto usage
shift
set rest=
:collect
if "%~1"=="" goto run
set rest=%rest% %1
shift
goto collect

:run
if "%command%"=="quickstart" (dotnet run --project samples\Quickstart -c Release --%rest% & goto done)
if "%command%"=="vae-digits" (dotnet run --project samples\VaeDigits -c Release --%rest% & goto done)
if "%command%"=="latent-digits" (dotnet run --project samples\LatentDigits -c Release --%rest% & goto done)
if "%command%"=="pretrained-digits" (dotnet run --project samples\PretrainedDigits -c Release --%rest% & goto done)
if "%command%"=="test" (goto test)
if "%command%"=="pack" (dotnet pack Diffusion.Core.sln -c Release -p:NeedsTorchRuntime=false -o artifacts\packages & goto done)
if "%command%"=="bench" (dotnet run --project benchmarks\Diffusion.Core.Benchmarks -c Release --%rest% & goto done)
if "%command%"=="plots" (dotnet run --project samples\Plots -c Release --%rest% & goto done)
if "%command%"=="format" (dotnet format Diffusion.Core.sln%rest% & goto done)
echo build.cmd: unknown command '%command%' 1>&2
goto usage

:test
if "%rest%"==" --long" (dotnet test Diffusion.Core.sln -c Release -m:1 & goto done)
if "%rest%"=="" (dotnet test Diffusion.Core.sln -c Release -m:1 --filter "Category!=Long" & goto done)
dotnet test Diffusion.Core.sln -c Release -m:1%rest%

:done
exit /b %errorlevel%

:usage
echo build.cmd quickstart [OPTIONS] ^| vae-digits [OPTIONS] ^| latent-digits [OPTIONS] ^| pretrained-digits [OPTIONS] ^| test [--long] [--filter EXPR] ^| pack ^| bench ^| plots [FOLDER] ^| format [--verify-no-changes]
exit /b 2
