using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Diffusion.Core.Diffusers;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>
/// Computes the losses of the first steps from the weights, batches and draws that against.py recorded. If they agree with the losses of
/// Python, both sides have the same network, loss, gradient, clipping, optimizer and average.
/// </summary>
internal static class LossCheck
{
    private const int Steps = 3;

    /// <summary>
    /// Prints a JSON line with the version and the file of libtorch, and one for each network with the losses of three steps and that of
    /// the averaged weights on a fourth batch.
    /// </summary>
    public static void Run(string folder, Device device)
    {
        using var unet = DiffusersModel.Load(Path.Combine(folder, "unet"));
        PrintLibrary();
        Print("unet", (DenoisingNetwork)unet.Network, Path.Combine(folder, "unet-batches.safetensors"), device);
        using var mlp = Networks.Mlp();
        ModuleWeights.Load(mlp, Path.Combine(folder, "mlp.safetensors"));
        Print("mlp", mlp, Path.Combine(folder, "mlp-batches.safetensors"), device);
    }

    private static void PrintLibrary()
    {
        using var process = Process.GetCurrentProcess();
        var file = process.Modules.Cast<ProcessModule>().First(module => module.ModuleName.Contains("torch_cpu", StringComparison.Ordinal));
        Console.WriteLine(JsonSerializer.Serialize(new { version = torch.__version__, library = file.FileName }));
    }

    private static void Print(string name, DenoisingNetwork network, string file, Device device)
    {
        using var scope = NewDisposeScope();
        var batches = Safetensors.Load(file).ToDictionary(entry => entry.Key, entry => entry.Value.to(device));
        var draws = new RecordedDraws(new SimpleLoss());
        using var trainer = Networks.Trainer(network, device, draws);
        var losses = new double[Steps + 1];
        for (var step = 0; step < Steps; step++)
        {
            (draws.Times, draws.Noise) = (batches[$"t.{step}"], batches[$"noise.{step}"]);
            using var batch = new Batch(batches[$"x0.{step}"]);
            trainer.TrainStep(batch);
            losses[step] = trainer.LastLoss;
        }

        using var terms = new SimpleLoss().Evaluate(
            new LossContext(trainer.Ema, batches[$"x0.{Steps}"], batches[$"t.{Steps}"], batches[$"noise.{Steps}"]));
        using var mean = terms.Loss.mean();
        losses[Steps] = mean.item<float>();
        var numbers = losses.Select(loss => loss.ToString("R", CultureInfo.InvariantCulture));
        Console.WriteLine(
            $$"""{"case": "{{name}}", "parameters": {{ModuleWeights.Count(network)}}, "losses": [{{string.Join(", ", numbers)}}]}""");
    }
}
