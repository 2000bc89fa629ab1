using System.Diagnostics.CodeAnalysis;
using TorchSharp;

namespace Diffusion.Core;

/// <summary>Keeps a <see cref="TorchSharp.Scalar"/> alive until it is disposed. The default value contains none.</summary>
[ExcludeFromCodeCoverage]
internal readonly ref struct HeldScalar
{
    private readonly bool _owned;

    public HeldScalar(Scalar scalar, bool owned)
    {
        Scalar = scalar;
        _owned = owned;
    }

    public Scalar Scalar { get; }

    public void Dispose()
    {
        if (_owned)
            Scalar.Dispose();
        GC.KeepAlive(Scalar);
    }
}
