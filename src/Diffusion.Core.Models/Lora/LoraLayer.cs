using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The low-rank update of the weight of one layer, W + alpha/r B A. State: <c>lora_A.weight</c> [r, in, ...], <c>lora_B.weight</c>
/// [out, r, ...].
/// </summary>
internal sealed class LoraLayer : NamedModule
{
    private readonly nn.Module<Tensor, Tensor> _base;
    private readonly LoraFactor _down;
    private readonly LoraFactor _up;
    private readonly SeededDropout _dropout;
    private readonly Action _detach;

    /// <summary>
    /// Creates the update of a layer and attaches it. A is random and B is zero, so that the output of the layer is initially unchanged.
    /// </summary>
    /// <param name="layer">A linear layer or a two-dimensional convolution.</param>
    /// <param name="rank">r, the rank.</param>
    /// <param name="alpha">alpha; the update is scaled by alpha/r.</param>
    /// <param name="dropout">The probability of dropout before the first factor.</param>
    /// <param name="strength">Returns the current scale. It is called in every forward pass; 0 disables the adapter.</param>
    public LoraLayer(nn.Module<Tensor, Tensor> layer, int rank, double alpha, double dropout, Func<double> strength)
        : base(nameof(LoraLayer))
    {
        (_base, Rank, Alpha) = (layer, rank, alpha);
        var weight = Weight;
        var shape = weight.shape;
        _down = new LoraFactor([rank, .. shape[1..]], weight);
        _up = new LoraFactor([shape[0], rank, .. Enumerable.Repeat(1L, shape.Length - 2)], weight);
        using (no_grad())
        {
            var bound = 1 / Math.Sqrt(shape[1..].Aggregate(1L, (product, size) => product * size));
            nn.init.uniform_(_down.Weight, -bound, bound);
            _up.Weight.Fill_(0);
        }

        _dropout = new SeededDropout(dropout);
        register_module("lora_A", _down);
        register_module("lora_B", _up);
        register_module("dropout", _dropout);
        _detach = layer.register_forward_hook((_, input, output) => Add(input, output, strength())).remove;
    }

    /// <summary>r, the rank.</summary>
    public int Rank { get; }

    /// <summary>alpha; the update is scaled by alpha/r.</summary>
    public double Alpha { get; }

    /// <summary>A, the first factor.</summary>
    public Tensor Down => _down.Weight;

    /// <summary>B, the second factor.</summary>
    public Tensor Up => _up.Weight;

    private Tensor Weight => WeightOf(_base);

    /// <summary>Returns whether a module can be adapted.</summary>
    public static bool Fits(nn.Module module)
        => module is Linear or Conv2d { groups: 1, padding: not null, padding_mode: PaddingModes.Zeros };

    /// <summary>Returns the weight of a layer that can be adapted.</summary>
    public static Tensor WeightOf(nn.Module layer) => layer is Conv2d convolution ? convolution.weight : ((Linear)layer).weight;

    /// <summary>Adds the update, multiplied by a factor, to the weight of the layer.</summary>
    public void AddToBase(double factor)
    {
        using var gradientsOff = no_grad();
        using var scope = NewDisposeScope();
        var weight = Weight;
        var change = Up.flatten(1).matmul(Down.flatten(1)).reshape(weight.shape);
        weight.Add_(change.Mul_(factor * Alpha / Rank));
    }

    /// <summary>Detaches the update from the layer.</summary>
    public void Detach() => _detach();

    private Tensor Add(Tensor input, Tensor output, double strength)
    {
        if (strength == 0)
            return output;
        using var scope = NewDisposeScope();
        var dropped = _dropout.call(input);
        var change = _base is Conv2d convolution
            ? nn.functional.conv2d(
                nn.functional.conv2d(dropped, Down, null, convolution.stride, convolution.padding, convolution.dilation), Up)
            : nn.functional.linear(nn.functional.linear(dropped, Down), Up);
        return output.Add_(change.Mul(strength * Alpha / Rank));
    }
}

/// <summary>
/// A module for one component of a dotted name. Branches are nested, so that the layers of an adapter have the names of the layers that
/// they adapt.
/// </summary>
internal sealed class LoraBranch() : NamedModule(nameof(LoraBranch))
{
    private readonly Dictionary<string, LoraBranch> _branches = new(StringComparer.Ordinal);

    /// <summary>Registers a layer in a module under a dotted name, and creates missing branches.</summary>
    public static void Place(nn.Module root, Dictionary<string, LoraBranch> branches, string name, nn.Module layer)
    {
        var dot = name.IndexOf('.', StringComparison.Ordinal);
        if (dot < 0)
        {
            root.register_module(name, layer);
            return;
        }

        var first = name[..dot];
        if (!branches.TryGetValue(first, out var branch))
        {
            branches.Add(first, branch = new LoraBranch());
            root.register_module(first, branch);
        }

        Place(branch, branch._branches, name[(dot + 1)..], layer);
    }
}

/// <summary>A module that contains a single weight. State: <c>weight</c>.</summary>
internal sealed class LoraFactor : NamedModule
{
    private const string WeightName = "weight";

    /// <summary>Creates an uninitialized weight with the type and device of another tensor.</summary>
    public LoraFactor(long[] shape, Tensor like)
        : base(nameof(LoraFactor))
    {
        var values = empty(shape, dtype: like.dtype, device: like.device);
        register_parameter(WeightName, (Parameter)nn.Parameter(values).DetachFromDisposeScope());
    }

    /// <summary>The current parameter, which is another object after the module was moved.</summary>
    public Parameter Weight => get_parameter(WeightName)!;
}
