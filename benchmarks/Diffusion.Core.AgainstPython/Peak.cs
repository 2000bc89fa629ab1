using System.Diagnostics;
using System.Globalization;
using Diffusion.Core.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>
/// Measures the throughput of libtorch on this machine, and counts the floating-point operations of a training step of the U-Net.
/// </summary>
internal static class Peak
{
    private const long Side = 1024;
    private const int Repeats = 20;

    /// <summary>Runs the measurements and prints a Markdown table.</summary>
    public static void Run()
    {
        using var gradientsOff = no_grad();
        using var scope = NewDisposeScope();
        var (left, right) = (randn([Side, Side]), randn([Side, Side]));
        var product = Best(() => left.matmul(right));
        Console.WriteLine("| operator | throughput |\n|---|---|");
        Line($"matrix product, {Side}^3", 2.0 * Side * Side * Side, product);
        foreach (var (channels, side) in ((long, long)[])[(64, 32), (128, 16), (256, 16), (128, 8)])
        {
            using var convolution = nn.Conv2d(channels, 128, 3, padding: 1);
            var image = randn([16, channels, side, side]);
            var operations = 2.0 * 16 * side * side * 128 * channels * 9;
            Line($"convolution 3x3 forward, 16x{channels}x{side}x{side} to 128", operations, Best(() => convolution.call(image)));
        }

        var (convolutions, linear, attention) = OperationsOfUNet();
        var total = 3 * (convolutions + linear + attention);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| U-Net, operations of a forward pass: convolutions, linear layers, attention | {convolutions / 1e9:F1}, {linear / 1e9:F1}, "
            + $"{attention / 1e9:F1} GFLOP |"));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| U-Net, training step (three forward passes), time at the throughput of the matrix product | {total / 1e9:F0} GFLOP, "
            + $"{total / (2.0 * Side * Side * Side / product) * 1e3:F0} ms |"));
    }

    /// <summary>Counts the multiplications and additions of one forward pass over a batch, for each kind of operator.</summary>
    private static (double Convolutions, double Linear, double Attention) OperationsOfUNet()
    {
        using var network = Networks.UNet();
        var (convolutions, linear, attention) = (0.0, 0.0, 0.0);
        foreach (var part in network.modules())
        {
            if (part is Conv2d convolution)
                convolution.register_forward_hook((_, _, output) =>
                {
                    convolutions += 2.0 * output.numel() * convolution.weight.numel() / output.shape[1];
                    return output;
                });
            else if (part is Linear layer)
                layer.register_forward_hook((_, _, output) =>
                {
                    linear += 2.0 * output.numel() * layer.weight.shape[1];
                    return output;
                });
            else if (part is SelfAttention2d pixels)
                pixels.register_forward_hook((_, input, output) =>
                {
                    // The product of queries and keys, and that of the weights and values, over [B, C, N] with N pixels.
                    var places = (double)(input.shape[2] * input.shape[3]);
                    attention += 2 * 2.0 * input.numel() * places;
                    return output;
                });
        }

        using var x = randn(Networks.Images);
        using var t = zeros([Networks.Images[0]], dtype: ScalarType.Int64);
        network.call(x, t, null).Dispose();
        return (convolutions, linear, attention);
    }

    private static double Best(Func<Tensor> action)
    {
        var best = double.MaxValue;
        for (var k = 0; k < Repeats; k++)
        {
            var start = Stopwatch.GetTimestamp();
            action().Dispose();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }

    private static void Line(string what, double operations, double seconds)
        => Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"| {what} | {operations / seconds / 1e9:F0} GFLOP/s |"));
}
