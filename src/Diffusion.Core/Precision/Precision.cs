using Diffusion.Core.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The floating point type in which a network computes during training (mixed precision). The weights, gradients, moments and averages
/// of a trainer have the type that the parameters had when the trainer was created, typically float32. Norms and losses are computed
/// in that type too.
/// </summary>
/// <remarks>
/// <para>Source: Micikevicius et al. 2018, "Mixed Precision Training", sections 3.1 to 3.3.</para>
/// <para>When the trainer is disposed, the network receives the weights of the trainer in their original type. Frozen parameters
/// remain rounded.</para>
/// </remarks>
public sealed record Precision
{
    private Precision(ScalarType? narrow, GradScaler? scaling) => (Narrow, GradScaler) = (narrow, scaling);

    /// <summary>Full precision: the network computes in the type of its parameters.</summary>
    public static Precision Full { get; } = new(null, null);

    /// <summary>Mixed precision with bfloat16. It has the range of float32, so gradients are not scaled.</summary>
    public static Precision BFloat16 { get; } = new(ScalarType.BFloat16, null);

    /// <summary>
    /// Returns mixed precision with float16, for GPUs without bfloat16. The loss is scaled, because small gradients would underflow.
    /// </summary>
    /// <param name="scaling">The settings of gradient scaling. The default is a new <see cref="GradScaler"/>.</param>
    public static Precision Float16(GradScaler? scaling = null) => new(ScalarType.Float16, scaling ?? new GradScaler());

    /// <summary>The type of weights and activations; <see langword="null"/> for the type of the parameters.</summary>
    internal ScalarType? Narrow { get; }

    /// <summary>The settings of gradient scaling; <see langword="null"/> for no scaling.</summary>
    internal GradScaler? GradScaler { get; }

    /// <summary>The name of the precision in a checkpoint.</summary>
    internal string Name => Narrow?.ToString() ?? nameof(Full);

    /// <summary>
    /// Converts all parameters to the lower precision, except the parameters of each <see cref="IFullPrecisionModule"/>, such as a norm.
    /// Buffers of modules without parameters are not converted.
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
            Tensor[] values = part is IFullPrecisionModule full ? [.. full.FullPrecisionParameters.Select(parameter => parameter.clone())] : [];
            if (values.Length > 0)
                kept.Add((part, values));
            else
                part.to(narrow);
        }

        // Converting a module also converts its submodules, which has rounded these parameters.
        foreach (var (part, values) in kept)
        {
            part.to(values[0].dtype);
            foreach (var (parameter, value) in ((IFullPrecisionModule)part).FullPrecisionParameters.Zip(values))
                parameter.copy_(value);
        }
    }

    /// <summary>
    /// Converts the parameters that <see cref="Convert"/> converted back to their original type. Their values remain rounded.
    /// </summary>
    internal static void Restore(nn.Module module, ScalarType narrow, ScalarType before)
    {
        foreach (var part in PartsWithParameters(module).Where(part => part.parameters(recurse: false).Any(p => p.dtype == narrow)))
            part.to(before);
    }

    private static nn.Module[] PartsWithParameters(nn.Module module)
        => [.. module.named_modules().Select(part => part.module).Prepend(module)
            .Distinct(ReferenceEqualityComparer.Instance).Cast<nn.Module>().Where(part => part.parameters(recurse: false).Any())];
}
