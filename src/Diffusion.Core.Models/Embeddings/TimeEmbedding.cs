using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The two-layer network applied to an encoding of time, or to a vector: linear, activation, linear.</summary>
/// <remarks>
/// Source: Ho et al. 2020, appendix B. State: <c>linear_1</c>, <c>linear_2</c> and, with an additional vector, <c>cond_proj</c>.
/// </remarks>
internal sealed class TimeEmbedding : NamedModule<Tensor, Tensor>
{
    private readonly Linear _first;
    private readonly Linear? _conditionProjection;
    private readonly Activation _activation;
    private readonly Linear _second;

    /// <summary>Creates a network of given widths.</summary>
    /// <param name="inputs">The width of the encoding.</param>
    /// <param name="outputs">The width of the embedding that is passed to the rest of the network.</param>
    /// <param name="activation">The activation between the layers. The default is <see cref="Activation.Silu"/>.</param>
    /// <param name="condition">
    /// The width of an additional vector that is added to the encoding after a separate linear layer, such as an embedding of a guidance
    /// scale (Meng et al. 2023, section 3.1). The default is <see langword="null"/>: no such vector.
    /// </param>
    public TimeEmbedding(int inputs, int outputs, Activation? activation = null, int? condition = null)
        : base(nameof(TimeEmbedding))
    {
        Guard.Positive(inputs);
        Guard.Positive(outputs);
        _activation = activation ?? Activation.Silu;
        _first = Layers.Linear(inputs, outputs);
        _second = Layers.Linear(outputs, outputs);
        register_module("linear_1", _first);
        register_module("linear_2", _second);
        if (condition is { } width)
            register_module("cond_proj", _conditionProjection = Layers.Linear(Guard.Positive(width, nameof(condition)), inputs, false));
    }

    /// <summary>The weight of the first layer, which has the type and the device of all weights.</summary>
    internal Tensor Weight => _first.weight;

    /// <summary>Computes the embedding that is passed to residual blocks.</summary>
    /// <param name="input">[B, inputs].</param>
    /// <returns>[B, outputs]. The caller must dispose the tensor.</returns>
    public override Tensor forward(Tensor input) => forward(input, null);

    /// <summary>Computes the embedding with an additional vector.</summary>
    /// <param name="input">[B, inputs].</param>
    /// <param name="condition">
    /// [B, width of the vector], or <see langword="null"/> to add nothing. It is ignored if the constructor received no width.
    /// </param>
    /// <returns>[B, outputs]. The caller must dispose the tensor.</returns>
    public Tensor forward(Tensor input, Tensor? condition)
    {
        using var scope = NewDisposeScope();
        if (condition is not null && _conditionProjection is not null)
            input = _conditionProjection.call(condition).Add_(input);
        return _second.call(_activation.Apply(_first.call(input))).MoveToOuterDisposeScope();
    }
}
