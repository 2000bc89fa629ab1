using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Trades time for memory: of a block only the inputs are kept for the backward pass, which computes the block again. Output and loss
/// equal those of the plain run bit for bit; so do gradients, but for the order of additions named below.
/// </summary>
/// <remarks>
/// <para>Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".</para>
/// <para>Dropout draws the same masks again: the state of <see cref="TrainingRandom"/>, or of the default generator where none is named,
/// is kept and a copy of the generator goes on from it. Draws from elsewhere differ.</para>
/// <para>Tensors that the block needs must be parameters or inputs: what it captures otherwise gets no gradient where it was computed, and
/// may be gone when it is wanted. Inputs must not be changed in place afterwards.</para>
/// <para>Parameters receive their gradients by <c>backward</c> only, as leaves; <c>autograd.grad</c> does not see through a checkpoint to
/// them. Where an input is used inside and outside the block, or a parameter in several blocks, the terms of its gradient are added in
/// another order than in the plain run, which may differ in the last bit.</para>
/// <para>A block that throws when it is computed again fails the backward pass with an error of libtorch, and <see cref="LastFailure"/>
/// tells the thread of the forward pass why: an exception cannot pass through libtorch. A trainer throws that exception.</para>
/// </remarks>
public static class GradientCheckpointing
{
    /// <summary>
    /// What a block that this thread ran threw when it was last computed again without success, on whatever thread, or what this library's
    /// own functions threw in the backward pass; null when that never happened.
    /// </summary>
    public static Exception? LastFailure => ReturnedGradients.OfThisThread.Last;

    /// <summary>Runs a block of one input.</summary>
    /// <param name="block">From the input to a new tensor; the same at every call.</param>
    /// <param name="input">Any tensor. It may be freed before the backward pass.</param>
    /// <returns>What the block returns; the caller's.</returns>
    public static Tensor Run(Func<Tensor, Tensor> block, Tensor input)
    {
        ArgumentNullException.ThrowIfNull(block);
        return Run(inputs => block(inputs[0]!), [input]);
    }

    /// <summary>Runs a block of two inputs.</summary>
    /// <inheritdoc cref="Run(Func{Tensor, Tensor}, Tensor)"/>
    public static Tensor Run(Func<Tensor, Tensor, Tensor> block, Tensor first, Tensor second)
    {
        ArgumentNullException.ThrowIfNull(block);
        return Run(inputs => block(inputs[0]!, inputs[1]!), [first, second]);
    }

    /// <summary>Runs a block of any number of inputs.</summary>
    /// <param name="block">From the inputs to a new tensor; the same at every call.</param>
    /// <param name="inputs">Tensors of any type; null for one that is absent. They may be freed before the backward pass.</param>
    /// <returns>What the block returns; the caller's.</returns>
    public static Tensor Run(Func<IReadOnlyList<Tensor?>, Tensor> block, params Tensor?[] inputs)
    {
        ArgumentNullException.ThrowIfNull(block);
        ArgumentNullException.ThrowIfNull(inputs);
        return is_grad_enabled() ? CheckpointedBlock.Run(block, inputs) : block(inputs);
    }

    /// <summary>
    /// Runs a block through a checkpoint when that is wanted, else as it is. For networks with an option:
    /// <c>GradientCheckpointing.RunIf(training &amp;&amp; Options.UseGradientCheckpointing, _block.call, x, embedding)</c>.
    /// </summary>
    /// <inheritdoc cref="Run(Func{Tensor, Tensor}, Tensor)"/>
    public static Tensor RunIf(bool wanted, Func<Tensor, Tensor> block, Tensor input)
        => wanted ? Run(block, input) : Required(block)(input);

    /// <inheritdoc cref="RunIf(bool, Func{Tensor, Tensor}, Tensor)"/>
    public static Tensor RunIf(bool wanted, Func<Tensor, Tensor, Tensor> block, Tensor first, Tensor second)
        => wanted ? Run(block, first, second) : Required(block)(first, second);

    /// <inheritdoc cref="RunIf(bool, Func{Tensor, Tensor}, Tensor)"/>
    public static Tensor RunIf(bool wanted, Func<IReadOnlyList<Tensor?>, Tensor> block, params Tensor?[] inputs)
        => wanted ? Run(block, inputs) : Required(block)(inputs);

    private static T Required<T>(T block)
        where T : Delegate
        => block ?? throw new ArgumentNullException(nameof(block));
}

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
        using var named = draws is null ? null : TrainingRandom.Use(draws);
        using var source = TrainingRandom.Current is null ? Generator.Default : null;
        var generator = TrainingRandom.Current ?? source!;
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
        using (TrainingRandom.Use(generator))
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
        if (TrainingRandom.Current is not null || device.type == TorchSharp.DeviceType.CPU)
            return null;
        using var seed = rand(1, dtype: ScalarType.Float64);
        return new Generator((ulong)(seed.item<double>() * (1L << 53)), device);
    }

    private sealed record Call(
        Func<IReadOnlyList<Tensor?>, Tensor> Block, int Inputs, Device RandomDevice, ReturnedGradients.Failures Failures);
}
