using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Trades time for memory: only the inputs of a block are stored for the backward pass, which recomputes the block. Output and loss are
/// equal to those without checkpointing bit for bit; so are gradients, except for the order of additions described below.
/// </summary>
/// <remarks>
/// <para>Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".</para>
/// <para>Dropout draws the same masks again: the state of <see cref="TrainingRandom"/>, or of the default generator if none is set, is
/// stored, and the block is recomputed with a generator of this state. Numbers from other generators differ.</para>
/// <para>Tensors that the block uses must be parameters or inputs: gradients do not flow to the source of other captured tensors, and these
/// may be disposed before the backward pass. Inputs must not be modified in place afterwards.</para>
/// <para>Parameters receive gradients by <c>backward</c> only, as leaves; <c>autograd.grad</c> cannot compute gradients of parameters
/// through a checkpoint. If an input is used inside and outside the block, or a parameter in several blocks, the terms of its gradient are
/// added in another order than without checkpointing, and the last bit may differ.</para>
/// <para>An exception cannot pass through libtorch. If a block throws when it is recomputed, the backward pass fails with an error of
/// libtorch, and <see cref="LastFailure"/> returns the exception on the thread of the forward pass. <see cref="Gradients"/> and trainers
/// throw that exception.</para>
/// <para>Second-order gradients flow through the inputs of a block, and not through the gradients of its parameters.</para>
/// </remarks>
public static class GradientCheckpointing
{
    /// <summary>
    /// The last exception in the backward pass of a block, or of another custom function of this library, whose forward pass ran on this
    /// thread; <see langword="null"/> if there was none. The backward pass may have run on another thread.
    /// </summary>
    public static Exception? LastFailure => ReturnedGradients.OfThisThread.Last;

    /// <summary>Runs a block with one input.</summary>
    /// <param name="block">Maps the input to a new tensor, with the same result at every call.</param>
    /// <param name="input">Any tensor. It may be disposed before the backward pass.</param>
    /// <returns>The output of the block. The caller must dispose the tensor.</returns>
    public static Tensor Run(Func<Tensor, Tensor> block, Tensor input)
    {
        ArgumentNullException.ThrowIfNull(block);
        return Run(inputs => block(inputs[0]!), [input]);
    }

    /// <summary>Runs a block with two inputs.</summary>
    /// <inheritdoc cref="Run(Func{Tensor, Tensor}, Tensor)"/>
    public static Tensor Run(Func<Tensor, Tensor, Tensor> block, Tensor first, Tensor second)
    {
        ArgumentNullException.ThrowIfNull(block);
        return Run(inputs => block(inputs[0]!, inputs[1]!), [first, second]);
    }

    /// <summary>Runs a block with any number of inputs.</summary>
    /// <param name="block">Maps the inputs to a new tensor, with the same result at every call.</param>
    /// <param name="inputs">
    /// Tensors of any type; <see langword="null"/> for one that is absent. They may be disposed before the backward pass.
    /// </param>
    /// <returns>The output of the block. The caller must dispose the tensor.</returns>
    public static Tensor Run(Func<IReadOnlyList<Tensor?>, Tensor> block, params Tensor?[] inputs)
    {
        ArgumentNullException.ThrowIfNull(block);
        ArgumentNullException.ThrowIfNull(inputs);
        return is_grad_enabled() ? CheckpointedBlock.Run(block, inputs) : block(inputs);
    }

    /// <summary>
    /// Runs a block with checkpointing if <paramref name="wanted"/> is true, otherwise directly. For networks with an option:
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

/// <summary>The node of a checkpoint in the autograd graph. It stores the inputs, and recomputes the block in the backward pass.</summary>
internal sealed class CheckpointedBlock : autograd.SingleTensorFunction<CheckpointedBlock>
{
    private const string CallKey = "call";

    /// <inheritdoc/>
    public override string Name => nameof(CheckpointedBlock);

    /// <summary>Runs the block as a node of the graph.</summary>
    public static Tensor Run(Func<IReadOnlyList<Tensor?>, Tensor> block, Tensor?[] inputs)
    {
        ReturnedGradients.Free();
        using var scope = NewDisposeScope();
        using var draws = Draws(inputs);
        using var named = draws is null ? null : TrainingRandom.Use(draws);
        using var source = TrainingRandom.Current is null ? Generator.Default : null;
        var generator = TrainingRandom.Current ?? source!;
        var state = generator.get_state();

        // Parameters may require gradients if no input does. This leaf ensures that there is a node, and receives the invalid gradient of a
        // failure.
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

        // Runs with gradients enabled and discards the graph: without gradients, attention uses another kernel, which rounds differently.
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
        var inputs = saved.Skip(1).ToArray();
        var leaves = Array.ConvertAll(inputs, Leaf);
        Tensor Block(Tensor?[] values)
        {
            generator.set_state(saved[0]);
            using (TrainingRandom.Use(generator))
                return call.Block(values);
        }

        // libtorch enables gradients in the backward pass if the caller asks for a graph of the gradients.
        var needsGraph = is_grad_enabled();
        using var gradientsOn = enable_grad();
        var output = Block(leaves);
        if (output.requires_grad)
            output.backward([outputGradient]);
        return [.. needsGraph
            ? ReturnedGradients.Differentiable(Block, inputs, outputGradient).Select(gradient => gradient?.MoveToOuterDisposeScope())
            : leaves.Select(leaf => leaf is { requires_grad: true } ? leaf.grad?.MoveToOuterDisposeScope() : null)];
    }

    private static Tensor? Leaf(Tensor? saved) => saved is null ? null : saved.detach().requires_grad_(saved.requires_grad);

    /// <summary>
    /// Creates a generator for a block on a device whose default generator cannot be read, seeded from the default one of the CPU. Returns
    /// <see langword="null"/> if random numbers can be repeated without it.
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
