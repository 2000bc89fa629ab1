using System.Globalization;
using Diffusion.Core;
using Diffusion.Core.AgainstPython;
using static TorchSharp.torch;

// The C# side of benchmarks/against-python.sh: benchmarks/python/compare.py starts a separate process for each case.
// Applies the documented settings for training on the CPU, unless compare.py requests the default settings of the process.
if (Environment.GetEnvironmentVariable("DEFAULT_SETTINGS") is null)
{
    HostSettings.KeepFreedMemory();
    HostSettings.SpinBriefly();
}

set_num_threads(int.Parse(Environment.GetEnvironmentVariable("OMP_NUM_THREADS") ?? "2", CultureInfo.InvariantCulture));
switch (args)
{
    case ["check", var folder, .. var rest]:
        LossCheck.Run(folder, On(rest));
        break;
    case ["unet-step", var seconds, .. var rest]:
        Cases.TrainingStep(Networks.UNet(), Networks.Images, Number(seconds), On(rest));
        break;
    case ["mlp-step", var seconds, .. var rest]:
        Cases.TrainingStep(Networks.Mlp(), Networks.Points, Number(seconds), On(rest));
        break;
    case ["ddim", var seconds, .. var rest]:
        Cases.Ddim(Number(seconds), On(rest));
        break;
    case ["unet-steps", var count, .. var rest]:
        Cases.TrainingSteps(Networks.UNet(), Networks.Images, (long)Number(count), On(rest));
        break;
    case ["mlp-steps", var count, .. var rest]:
        Cases.TrainingSteps(Networks.Mlp(), Networks.Points, (long)Number(count), On(rest));
        break;
    case ["parts"]:
        Parts.Run();
        break;
    case ["peak"]:
        Peak.Run();
        break;
    default:
        Console.Error.WriteLine(
            "Usage: peak | parts | check FOLDER [DEVICE] | unet-step SECONDS [DEVICE] | mlp-step SECONDS [DEVICE] "
            + "| ddim SECONDS [DEVICE] | unet-steps COUNT [DEVICE] | mlp-steps COUNT [DEVICE]");
        return 2;
}

return 0;

static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

static Device On(string[] rest) => DeviceName.Parse(rest is [var name] ? name : "cpu");
