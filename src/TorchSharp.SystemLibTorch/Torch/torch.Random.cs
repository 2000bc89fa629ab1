using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    private static readonly Operator Rand = new("rand.generator");
    private static readonly Operator RandN = new("randn.generator");

    public static Tensor rand(
        long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandOf(size, dtype, device, requires_grad, generator, names);

    public static Tensor rand(
        ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandOf(size, dtype, device, requires_grad, generator, names);

    public static Tensor rand(
        int size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandOf([size], dtype, device, requires_grad, generator, names);

    public static Tensor randn(
        long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandNOf(size, dtype, device, requires_grad, generator, names);

    public static Tensor randn(
        ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandNOf(size, dtype, device, requires_grad, generator, names);

    public static Tensor randn(
        int size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandNOf([size], dtype, device, requires_grad, generator, names);

    public static Tensor randn(
        int rows, int columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandNOf([rows, columns], dtype, device, requires_grad, generator, names);

    public static Tensor randn(
        int dim0, int dim1, int dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandNOf([dim0, dim1, dim2], dtype, device, requires_grad, generator, names);

    public static Tensor randn(
        int dim0, int dim1, int dim2, int dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null, string[]? names = null)
        => RandNOf([dim0, dim1, dim2, dim3], dtype, device, requires_grad, generator, names);

    private static Tensor RandOf(
        ReadOnlySpan<long> size, ScalarType? dtype, Device? device, bool requires_grad, Generator? generator, string[]? names)
        => Draw(Rand, "rand", size, dtype, device, requires_grad, generator, names);

    private static Tensor RandNOf(
        ReadOnlySpan<long> size, ScalarType? dtype, Device? device, bool requires_grad, Generator? generator, string[]? names)
        => Draw(RandN, "randn", size, dtype, device, requires_grad, generator, names);

    private static unsafe Tensor Draw(
        Operator op,
        string name,
        ReadOnlySpan<long> size,
        ScalarType? dtype,
        Device? device,
        bool requires_grad,
        Generator? generator,
        string[]? names)
    {
        if (dtype is { } type && is_integral(type))
            throw new ArgumentException($"torch.{name}() was passed a bad dtype: {dtype}. It must be floating point or complex.", nameof(dtype));
        RefuseNames(names);
        fixed (long* sizes = size)
        {
            return op.Call(Value.Ints(sizes, size.Length), generator, dtype, Value.None, InitializeDevice(device))
                .requires_grad_(requires_grad);
        }
    }
}
