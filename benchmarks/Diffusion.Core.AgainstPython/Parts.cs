using System.Diagnostics;
using System.Globalization;
using Diffusion.Core.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>
/// Measures the parts of a training step of the U-Net: each kind of operator alone, forward and backward, on inputs with the shapes and
/// layouts that occur in the network, and the whole step.
/// </summary>
internal static class Parts
{
    private const int Repeats = 7;

    /// <summary>Runs the measurements and prints a Markdown table.</summary>
    public static void Run()
    {
        using var network = Networks.UNet();
        using var scope = NewDisposeScope();
        var calls = Calls(network);
        Console.WriteLine("| part | calls | forward | backward |\n|---|---|---|---|");
        foreach (var kind in calls.GroupBy(call => call.Kind))
        {
            var (forward, backward) = (0.0, 0.0);
            foreach (var call in kind)
            {
                var (there, back) = Measure(call.Run, [.. call.Inputs.Select(input => Input(input.Shape, input.IsLast))]);
                forward += there;
                backward += back;
            }

            Line(kind.Key, kind.Count(), forward, backward);
        }

        using var x = randn(Networks.Images);
        using var t = zeros([Networks.Images[0]], ScalarType.Int64);
        var (whole, way) = Measure(inputs => network.call(inputs[0], t, null), [Input(Networks.Images, isLast: false)]);
        Line("whole network", 1, whole, way);
        using var trainer = Networks.Trainer(network, CPU);
        using var batch = new Batch(x.alias());
        trainer.TrainStep(batch);
        var step = Enumerable.Range(0, Repeats).Min(_ => Milliseconds(() => trainer.TrainStep(batch)));
        Line("draws, loss, clipping, optimizer, average", 1, Math.Max(0, step - whole - way), 0.0);
        Line("training step", 1, step, 0.0);
    }

    private static List<Call> Calls(UNet network)
    {
        var calls = new List<Call>();
        void Add(string kind, Func<Tensor[], Tensor> run, params Tensor[] inputs)
            => calls.Add(new(kind, run, [.. inputs.Select(input => (input.shape, !input.is_contiguous()))]));

        foreach (var (name, part) in network.named_modules())
        {
            if (part is Conv2d convolution)
                convolution.register_forward_hook((_, input, output) =>
                {
                    Add($"convolution, kernel {convolution.weight.shape[2]}", inputs => convolution.forward(inputs[0]), input);
                    return output;
                });
            else if (part is Linear linear)
                linear.register_forward_hook((_, input, output) =>
                {
                    Add("linear layer", inputs => linear.forward(inputs[0]), input);
                    return output;
                });
            else if (part is GroupNormalization norm)
                norm.register_forward_hook((_, input, output) =>
                {
                    var isActivated = !name.Contains("attentions", StringComparison.Ordinal);
                    Add(isActivated ? "group norm with SiLU" : "group norm", inputs => norm.forward(inputs[0]), input);
                    if (name.EndsWith(".norm2", StringComparison.Ordinal))
                        Add("residual sum", inputs => inputs[0].add(inputs[1]), output, output);
                    return output;
                });
            else if (part is SelfAttention2d attention)
                attention.register_forward_hook((_, input, output) =>
                {
                    Add("attention layer, with its norm and linear layers", inputs => attention.forward(inputs[0]), input);
                    return output;
                });
        }

        using var gradientsOff = no_grad();
        using var x = randn(Networks.Images);
        using var t = zeros([Networks.Images[0]], ScalarType.Int64);
        network.call(x, t, null).Dispose();
        return calls;
    }

    private static Tensor Input(long[] shape, bool isLast)
    {
        var x = randn(shape);
        return (isLast ? ChannelsLast.Of(x).detach() : x).requires_grad_();
    }

    private static (double Forward, double Backward) Measure(Func<Tensor[], Tensor> run, Tensor[] inputs)
    {
        var (forward, backward) = (double.MaxValue, double.MaxValue);
        for (var k = 0; k < Repeats; k++)
        {
            using var scope = NewDisposeScope();
            Tensor? output = null;
            forward = Math.Min(forward, Milliseconds(() => output = run(inputs)));
            var upstream = randn_like(output!);
            backward = Math.Min(backward, Milliseconds(() => output!.backward([upstream])));
        }

        return (forward, backward);
    }

    private static double Milliseconds(Action action)
    {
        var start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static void Line(string part, int calls, double forward, double backward)
        => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {part} | {calls} | {forward:F1} ms | {backward:F1} ms |"));

    private sealed record Call(string Kind, Func<Tensor[], Tensor> Run, (long[] Shape, bool IsLast)[] Inputs);
}
