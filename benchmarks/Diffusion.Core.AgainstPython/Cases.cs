using System.Diagnostics;
using System.Globalization;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>The measurements. Each prints one line: a JSON list of milliseconds.</summary>
internal static class Cases
{
    /// <summary>Measures training steps on one batch, for a given number of seconds.</summary>
    public static void TrainingStep(DenoisingNetwork network, long[] shape, double seconds, Device device)
    {
        using var trainer = Networks.Trainer(network, device);
        using var batch = new Batch(randn(shape, device: device));
        Print(Timed(() => trainer.TrainStep(batch), warmUps: 2, seconds, device));
    }

    /// <summary>Measures sampling runs of 50 DDIM steps, for a given number of seconds.</summary>
    public static void Ddim(double seconds, Device device)
    {
        using var network = Networks.UNet();
        network.to(device);
        using var model = new DiffusionModel(network, DiscreteSchedule.Linear());
        Sample(model, 2);
        Print(Timed(() => Sample(model, 50), warmUps: 0, seconds, device));
    }

    /// <summary>
    /// Runs a given number of training steps and prints an empty list. compare.py measures the peak memory of the process, or the time
    /// until the list is printed.
    /// </summary>
    public static void TrainingSteps(DenoisingNetwork network, long[] shape, long count, Device device)
    {
        using var trainer = Networks.Trainer(network, device);
        using var batch = new Batch(randn(shape, device: device));
        while (trainer.Step < count)
            trainer.TrainStep(batch);
        _ = trainer.LastLoss;
        Print([]);
    }

    private static void Sample(DiffusionModel model, int steps)
        => new DdimSampler(steps).Sample(model, Networks.Images, seed: 0).Dispose();

    private static List<double> Timed(Action action, int warmUps, double seconds, Device device)
    {
        void Run()
        {
            action();
            if (device.type == DeviceType.CUDA)
                cuda.synchronize(device);
        }

        for (var k = 0; k < warmUps; k++)
            Run();
        var times = new List<double>();
        var begin = Stopwatch.GetTimestamp();
        do
        {
            var start = Stopwatch.GetTimestamp();
            Run();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
        while (Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds);

        return times;
    }

    private static void Print(IEnumerable<double> milliseconds)
        => Console.WriteLine($"[{string.Join(", ", milliseconds.Select(time => time.ToString("R", CultureInfo.InvariantCulture)))}]");
}
