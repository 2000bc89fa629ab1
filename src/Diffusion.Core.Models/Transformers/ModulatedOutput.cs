using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The last layer of a modulated transformer, which maps tokens to the pixels of their patches. It is initialized with zeros.
/// </summary>
/// <remarks>Source: Peebles and Xie 2023, section 3.2, "transformer decoder". State: <c>proj_out_1</c>, <c>proj_out_2</c>.</remarks>
internal sealed class ModulatedOutput : NamedModule<Tensor, Tensor, Tensor>
{
    private readonly int _width;
    private readonly Linear _modulation;
    private readonly Linear _projection;

    /// <summary>Creates a layer of given sizes.</summary>
    public ModulatedOutput(int width, int embeddingWidth, int outputs)
        : base(nameof(ModulatedOutput))
    {
        _width = width;
        register_module("proj_out_1", _modulation = Layers.Linear(embeddingWidth, 2L * width));
        register_module("proj_out_2", _projection = Layers.Linear(width, outputs));
        InitialWeights.Zero(_modulation);
        InitialWeights.Zero(_projection);
    }

    /// <summary>Maps tokens, [B, N, width], and the embedding, [B, E], to [B, N, outputs]. The caller must dispose the tensor.</summary>
    public override Tensor forward(Tensor tokens, Tensor embedding)
    {
        using var scope = NewDisposeScope();
        var vectors = AdaLayerNorm.Vectors(_modulation, embedding, 2, _width);
        return _projection.call(AdaLayerNorm.Modulate(AdaLayerNorm.Norm(tokens), vectors, 0)).MoveToOuterDisposeScope();
    }
}
