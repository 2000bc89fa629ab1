using System.Diagnostics;
using System.Globalization;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>What is measured. Each prints one line: a JSON list of milliseconds.</summary>
internal static class Cases
{
    /// <summary>Training steps on one batch, for some seconds.</summary>
    public static void TrainingStep(DenoisingNetwork network, long[] shape, double seconds)
    {
        using var trainer = Networks.Trainer(network);
        using var batch = new Batch(randn(shape));
        Print(Timed(() => trainer.TrainStep(batch), warmUps: 2, seconds));
    }

    /// <summary>Draws of 50 DDIM steps, for some seconds.</summary>
    public static void Ddim(double seconds)
    {
        using var network = Networks.UNet();
        Sample(network, 2);
        Print(Timed(() => Sample(network, 50), warmUps: 0, seconds));
    }

    /// <summary>A number of training steps and nothing else: for the memory they take, and the time until they are done.</summary>
    public static void TrainingSteps(DenoisingNetwork network, long[] shape, long count)
    {
        using var trainer = Networks.Trainer(network);
        using var batch = new Batch(randn(shape));
        while (trainer.Step < count)
            trainer.TrainStep(batch);
        _ = trainer.LastLoss;
        Print([]);
    }

    private static void Sample(IDenoiser network, int steps)
        => new DdimSampler(DiscreteSchedule.Linear(), steps).Sample(network, Networks.Images, seed: 0).Dispose();

    private static List<double> Timed(Action action, int warmUps, double seconds)
    {
        for (var k = 0; k < warmUps; k++)
            action();
        var times = new List<double>();
        var begin = Stopwatch.GetTimestamp();
        do
        {
            var start = Stopwatch.GetTimestamp();
            action();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
        while (Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds);

        return times;
    }

    private static void Print(IEnumerable<double> milliseconds)
        => Console.WriteLine($"[{string.Join(", ", milliseconds.Select(time => time.ToString("R", CultureInfo.InvariantCulture)))}]");
}
