using System.Globalization;
using Diffusion.Core.AgainstPython;

// The C# side of benchmarks/against-python.sh: each case in a process of its own, started by benchmarks/python/compare.py.
switch (args)
{
    case ["check", var folder]:
        LossCheck.Run(folder);
        break;
    case ["unet-step", var seconds]:
        Cases.TrainingStep(Networks.UNet(), Networks.Images, Number(seconds));
        break;
    case ["mlp-step", var seconds]:
        Cases.TrainingStep(Networks.Mlp(), Networks.Points, Number(seconds));
        break;
    case ["ddim", var seconds]:
        Cases.Ddim(Number(seconds));
        break;
    case ["unet-steps", var count]:
        Cases.TrainingSteps(Networks.UNet(), Networks.Images, (long)Number(count));
        break;
    case ["mlp-steps", var count]:
        Cases.TrainingSteps(Networks.Mlp(), Networks.Points, (long)Number(count));
        break;
    case ["peak"]:
        Peak.Run();
        break;
    default:
        Console.Error.WriteLine("usage: peak | check FOLDER | unet-step SECONDS | mlp-step SECONDS | ddim SECONDS | unet-steps COUNT | mlp-steps COUNT");
        return 2;
}

return 0;

static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
