using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The two-layer network behind an encoding of time, or of a vector: linear, activation, linear.</summary>
/// <remarks>
/// Source: Ho et al. 2020, appendix B. State: <c>linear_1</c>, <c>linear_2</c> and, with a vector beside, <c>cond_proj</c>.
/// </remarks>
public sealed class TimeEmbedding : nn.Module<Tensor, Tensor>
{
    private readonly Linear _first;
    private readonly Linear? _beside;
    private readonly IActivation _activation;
    private readonly Linear _second;

    /// <summary>A network of given widths.</summary>
    /// <param name="inputs">The width of the encoding.</param>
    /// <param name="outputs">The width that the rest of the network is told.</param>
    /// <param name="activation">Between the layers, or null for <see cref="Activation.Silu"/>.</param>
    /// <param name="beside">
    /// The width of a vector that is added to the encoding through a linear layer of its own, such as an embedding of a guidance scale
    /// (Meng et al. 2023, section 3.1), or null for none.
    /// </param>
    public TimeEmbedding(int inputs, int outputs, IActivation? activation = null, int? beside = null)
        : base(nameof(TimeEmbedding))
    {
        Guard.Positive(inputs);
        Guard.Positive(outputs);
        _activation = activation ?? Activation.Silu;
        _first = nn.Linear(inputs, outputs);
        _second = nn.Linear(outputs, outputs);
        register_module("linear_1", _first);
        register_module("linear_2", _second);
        if (beside is { } width)
            register_module("cond_proj", _beside = nn.Linear(Guard.Positive(width, nameof(beside)), inputs, false));
    }

    /// <summary>The weights of the first layer, of the type and on the device of all.</summary>
    internal Tensor Weight => _first.weight;

    /// <summary>The embedding that residual blocks take.</summary>
    /// <param name="input">[B, inputs].</param>
    /// <returns>[B, outputs]; the caller's.</returns>
    public override Tensor forward(Tensor input) => forward(input, null);

    /// <summary>The embedding with a vector beside.</summary>
    /// <param name="input">[B, inputs].</param>
    /// <param name="beside">[B, its width], or null to add nothing.</param>
    /// <returns>[B, outputs]; the caller's.</returns>
    public Tensor forward(Tensor input, Tensor? beside)
    {
        using var scope = NewDisposeScope();
        if (beside is not null && _beside is not null)
            input = _beside.call(beside).Add_(input);
        return _second.call(_activation.Apply(_first.call(input))).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
