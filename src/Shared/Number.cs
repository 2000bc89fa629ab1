using System.Diagnostics.CodeAnalysis;
using TorchSharp;

namespace Diffusion.Core;

/// <summary>
/// A number on its way to an operator: whole, or real, as libtorch distinguishes them. An <see cref="int"/> is whole and a
/// <see cref="float"/> is real.
/// </summary>
/// <remarks>
/// TorchSharp passes the handle of a <see cref="Scalar"/> to native code and does not keep the object alive meanwhile, so that its
/// finalizer can free what native code still reads. Here it is held until the call has returned. This is the only type in the library
/// that creates a <see cref="Scalar"/>, which a test of the assemblies enforces.
/// </remarks>
[ExcludeFromCodeCoverage]
internal readonly struct Number
{
    // The numbers that most calls pass: created once, and never freed.
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

    /// <summary>The whole number 1, which TorchSharp passes as <c>alpha</c> where none is given.</summary>
    public static Scalar WholeOne { get; } = 1L;

    public static implicit operator Number(double value) => new(value, 0, false);

    public static implicit operator Number(long value) => new(0.0, value, true);

    /// <summary>The number as native code reads it, until the result is disposed.</summary>
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
