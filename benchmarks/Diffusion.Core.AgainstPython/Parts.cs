using System.Diagnostics;
using System.Globalization;
using Diffusion.Core.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>
/// Where the time of a training step of the U-Net goes: each kind of operator alone, forward and backward, on the tensors that the network
/// gives it, next to the whole step.
/// </summary>
internal static class Parts
{
    private const int Repeats = 7;

    /// <summary>Prints a Markdown table.</summary>
    public static void Run(bool channelsLast)
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
                var (there, back) = Measure(call.Run, [.. call.Shapes.Select(shape => Input(shape, channelsLast))]);
                forward += there;
                backward += back;
            }

            Line(kind.Key, kind.Count(), forward, backward);
        }

        using var x = randn(Networks.Images);
        using var t = zeros([Networks.Images[0]], ScalarType.Int64);
        var (whole, way) = Measure(inputs => network.call(inputs[0], t, null), [Input(Networks.Images, channelsLast)]);
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
        void Add(string kind, Func<Tensor[], Tensor> run, params long[][] shapes) => calls.Add(new(kind, run, shapes));

        foreach (var (name, part) in network.named_modules())
        {
            if (part is Conv2d convolution)
                convolution.register_forward_hook((_, input, output) =>
                {
                    Add($"convolution, kernel {convolution.weight.shape[2]}", inputs => convolution.forward(inputs[0]), input.shape);
                    return output;
                });
            else if (part is Linear linear)
                linear.register_forward_hook((_, input, output) =>
                {
                    Add("linear layer", inputs => linear.forward(inputs[0]), input.shape);
                    return output;
                });
            else if (part is GroupNormalization norm)
                norm.register_forward_hook((_, input, output) =>
                {
                    Add("group norm", inputs => norm.forward(inputs[0]), input.shape);
                    if (name.Contains(".norm", StringComparison.Ordinal))
                        Add("SiLU after a norm", inputs => nn.functional.silu(inputs[0]), output.shape);
                    if (name.EndsWith(".norm2", StringComparison.Ordinal))
                        Add("residual sum", inputs => inputs[0].add(inputs[1]), output.shape, output.shape);
                    return output;
                });
            else if (part is SelfAttention2d attention)
                attention.register_forward_hook((_, input, output) =>
                {
                    var tokens = new[] { input.shape[0], input.shape[2] * input.shape[3], input.shape[1] };
                    var heads = input.shape[1] / Networks.HeadWidth;
                    Add("attention alone", inputs => Attend(inputs[0], inputs[1], inputs[2], heads), tokens, tokens, tokens);
                    return output;
                });
        }

        using var gradientsOff = no_grad();
        using var x = randn(Networks.Images);
        using var t = zeros([Networks.Images[0]], ScalarType.Int64);
        network.call(x, t, null).Dispose();
        return calls;
    }

    private static Tensor Attend(Tensor query, Tensor key, Tensor value, long heads)
    {
        Tensor Heads(Tensor tokens) => tokens.view(tokens.shape[0], tokens.shape[1], heads, tokens.shape[2] / heads).transpose(1, 2);
        return nn.functional.scaled_dot_product_attention(Heads(query), Heads(key), Heads(value)).transpose(1, 2).reshape(query.shape);
    }

    private static Tensor Input(long[] shape, bool channelsLast)
    {
        var x = randn(shape);
        return (channelsLast && shape.Length == 4 ? ChannelsLast.Of(x) : x).requires_grad_();
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

    private sealed record Call(string Kind, Func<Tensor[], Tensor> Run, long[][] Shapes);
}
