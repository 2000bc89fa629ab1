using System.Diagnostics.CodeAnalysis;
using TorchSharp;

namespace Diffusion.Core;

/// <summary>
/// A number that is passed to an operator: an integer or a real number, which libtorch distinguishes. An <see cref="int"/> converts to
/// an integer, a <see cref="float"/> to a real number.
/// </summary>
/// <remarks>
/// TorchSharp passes the handle of a <see cref="Scalar"/> to native code and does not keep the object alive during the call, so its
/// finalizer can free memory that native code still reads. This type keeps the object alive until the call returns. It is the only
/// type in the library that creates a <see cref="Scalar"/>; a test of the assemblies verifies this.
/// </remarks>
[ExcludeFromCodeCoverage]
internal readonly struct Number
{
    // The most common numbers, which are created once and never freed.
    private static readonly Scalar _zero = 0.0;
    private static readonly Scalar _half = 0.5;
    private static readonly Scalar _one = 1.0;
    private static readonly Scalar _two = 2.0;
    private static readonly Scalar _wholeZero = 0L;
    private static readonly Scalar _wholeTwo = 2L;

    private readonly double _real;
    private readonly long _whole;
    private readonly bool _isWhole;

    private Number(double real, long whole, bool isWhole)
    {
        _real = real;
        _whole = whole;
        _isWhole = isWhole;
    }

    /// <summary>The integer 1, which TorchSharp passes as <c>alpha</c> by default.</summary>
    public static Scalar WholeOne { get; } = 1L;

    public static implicit operator Number(double value) => new(value, 0, false);

    public static implicit operator Number(long value) => new(0.0, value, true);

    /// <summary>Returns the number as a scalar that stays alive until the result is disposed.</summary>
    public HeldScalar Hold()
        => Shared() is { } shared ? new(shared, owned: false) : new(_isWhole ? (Scalar)_whole : _real, owned: true);

    private Scalar? Shared()
    {
        if (_isWhole)
            return _whole switch { 0 => _wholeZero, 1 => WholeOne, 2 => _wholeTwo, _ => null };
        return _real switch
        {
            1.0 => _one,
            0.0 => double.IsNegative(_real) ? null : _zero,
            0.5 => _half,
            2.0 => _two,
            _ => null,
        };
    }
}
