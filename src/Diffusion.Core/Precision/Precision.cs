using Diffusion.Core.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// What a network computes in while it is trained. Weights, gradients, moments and averages that a trainer keeps have the type that the
/// parameters had when it was made, float32; norms and losses are computed in it.
/// </summary>
/// <remarks>
/// <para>Source: Micikevicius et al. 2018, "Mixed Precision Training", sections 3.1 to 3.3.</para>
/// <para>When the trainer is disposed the network has the weights that were kept. Frozen parameters have been rounded.</para>
/// </remarks>
public sealed record Precision
{
    private Precision(ScalarType? narrow, GradScaler? scaling) => (Narrow, GradScaler) = (narrow, scaling);

    /// <summary>In the type of the parameters, as they are.</summary>
    public static Precision Full { get; } = new(null, null);

    /// <summary>In bfloat16, which has the range of float32: nothing needs scaling.</summary>
    public static Precision BFloat16 { get; } = new(ScalarType.BFloat16, null);

    /// <summary>In float16, for GPUs that lack bfloat16. Small gradients would vanish, so the loss is scaled.</summary>
    /// <param name="scaling">How; the default settings where null.</param>
    public static Precision Float16(GradScaler? scaling = null) => new(ScalarType.Float16, scaling ?? new GradScaler());

    /// <summary>The type of weights and activations; null for that of the parameters.</summary>
    internal ScalarType? Narrow { get; }

    /// <summary>How the loss is scaled; null for not at all.</summary>
    internal GradScaler? GradScaler { get; }

    /// <summary>Recognises the precision in a checkpoint.</summary>
    internal string Name => Narrow?.ToString() ?? nameof(Full);

    /// <summary>
    /// Gives all parameters the lower precision but the own ones of each <see cref="IFullPrecisionModule"/>, as norms are. Buffers
    /// beside no parameter stay as they are.
    /// </summary>
    internal void Convert(nn.Module module)
    {
        if (Narrow is not { } narrow)
            return;
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var kept = new List<(nn.Module Part, Tensor[] Values)>();
        foreach (var part in PartsWithParameters(module))
        {
            if (part is IFullPrecisionModule full)
                kept.Add((part, [.. full.FullPrecisionParameters.Select(parameter => parameter.clone())]));
            else
                part.to(narrow);
        }

        // A module takes its parts along, which has rounded these.
        foreach (var (part, values) in kept)
        {
            part.to(values[0].dtype);
            foreach (var (parameter, value) in ((IFullPrecisionModule)part).FullPrecisionParameters.Zip(values))
                parameter.copy_(value);
        }
    }

    /// <summary>Widens what <see cref="Convert"/> narrowed, digits apart.</summary>
    internal static void Restore(nn.Module module, ScalarType narrow, ScalarType before)
    {
        foreach (var part in PartsWithParameters(module).Where(part => part.parameters(recurse: false).Any(p => p.dtype == narrow)))
            part.to(before);
    }

    private static nn.Module[] PartsWithParameters(nn.Module module)
        => [.. module.named_modules().Select(part => part.module).Prepend(module)
            .Distinct(ReferenceEqualityComparer.Instance).Cast<nn.Module>().Where(part => part.parameters(recurse: false).Any())];
}
