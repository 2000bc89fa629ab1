using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The node that a checkpoint puts in the graph. It keeps the inputs, and on the way back computes the block again.</summary>
internal sealed class CheckpointedBlock : autograd.SingleTensorFunction<CheckpointedBlock>
{
    private const string CallKey = "call";

    /// <inheritdoc/>
    public override string Name => nameof(CheckpointedBlock);

    /// <summary>Runs the block with a node around it.</summary>
    public static Tensor Run(Func<IReadOnlyList<Tensor?>, Tensor> block, Tensor?[] inputs)
    {
        ReturnedGradients.Free();
        using var scope = NewDisposeScope();
        using var draws = Draws(inputs);
        using var named = draws is null ? null : DropoutRandom.Use(draws);
        using var source = DropoutRandom.Current is null ? Generator.Default : null;
        var generator = DropoutRandom.Current ?? source!;
        var state = generator.get_state();

        // The parameters may want gradients where no input does; this leaf makes sure of a node, and takes the error of a failure.
        var sentinel = zeros([0], requires_grad: true);
        var arguments = new object?[inputs.Length + 3];
        arguments[0] = new Call(block, inputs.Length, generator.device, ReturnedGradients.OfThisThread);
        arguments[1] = sentinel;
        arguments[2] = state;
        inputs.CopyTo(arguments, 3);
        return apply(arguments!).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var call = (Call)vars[0];
        ctx.set_materialize_grads(false);
        ctx.save_data(CallKey, call);
        ctx.save_for_backward([.. vars.Skip(2).Cast<Tensor>()]);

        // With gradients on, and their graph thrown away: without, attention takes another kernel, which rounds otherwise.
        using var scope = NewDisposeScope();
        using var gradientsOn = enable_grad();
        return call.Block([.. vars.Skip(3).Select(input => Leaf((Tensor?)input))]).detach().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override List<Tensor?> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var call = (Call)ctx.get_data(CallKey)!;
        return ReturnedGradients.Compute(
            call.Inputs + 3, 1..2, call.Failures, grad_output, gradients => Recompute(ctx, call, grad_output).CopyTo(gradients, 3));
    }

    private static Tensor?[] Recompute(autograd.AutogradContext ctx, Call call, Tensor outputGradient)
    {
        using var scope = NewDisposeScope();
        var saved = ctx.get_saved_variables();
        using var generator = new Generator(0, call.RandomDevice);
        generator.set_state(saved[0]);
        using var gradientsOn = enable_grad();
        var inputs = saved.Skip(1).Select(Leaf).ToArray();
        Tensor output;
        using (DropoutRandom.Use(generator))
            output = call.Block(inputs);
        if (output.requires_grad)
            output.backward([outputGradient]);
        return [.. inputs.Select(input => input is { requires_grad: true } ? input.grad?.MoveToOuterDisposeScope() : null)];
    }

    private static Tensor? Leaf(Tensor? saved) => saved is null ? null : saved.detach().requires_grad_(saved.requires_grad);

    /// <summary>
    /// A generator for a block on a device whose default generator cannot be read, seeded from the default one; null where draws can be
    /// repeated without it.
    /// </summary>
    private static Generator? Draws(Tensor?[] inputs)
    {
        var device = Array.Find(inputs, input => input is not null)?.device ?? CPU;
        if (DropoutRandom.Current is not null || device.type == TorchSharp.DeviceType.CPU)
            return null;
        using var seed = rand(1, dtype: ScalarType.Float64);
        return new Generator((ulong)(seed.item<double>() * (1L << 53)), device);
    }

    private sealed record Call(
        Func<IReadOnlyList<Tensor?>, Tensor> Block, int Inputs, Device RandomDevice, ReturnedGradients.Failures Failures);
}
