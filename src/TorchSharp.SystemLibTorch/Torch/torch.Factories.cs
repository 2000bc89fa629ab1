using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    private static readonly Operator Arange = new("arange.start_step");
    private static readonly Operator Linspace = new("linspace");
    private static readonly Operator Eye = new("eye.m");
    private static readonly Operator RandInt = new("randint.low_generator");
    private static readonly Operator RandPerm = new("randperm.generator");
    private static readonly Operator ZerosLike = new("zeros_like");
    private static readonly Operator OnesLike = new("ones_like");
    private static readonly Operator EmptyLike = new("empty_like");
    private static readonly Operator FullLike = new("full_like");
    private static readonly Operator RandLike = new("rand_like");
    private static readonly Operator RandNLike = new("randn_like");

    public static Tensor arange(Scalar stop, ScalarType? dtype = null, Device? device = null, bool requires_grad = false)
        => arange(0, stop, 1, dtype, device, requires_grad);

    public static Tensor arange(Scalar start, Scalar stop, ScalarType? dtype = null, Device? device = null, bool requires_grad = false)
        => arange(start, stop, 1, dtype, device, requires_grad);

    public static Tensor arange(
        Scalar start, Scalar stop, Scalar step, ScalarType? dtype = null, Device? device = null, bool requires_grad = false)
        => Arange.Call(start, stop, step, dtype, Value.None, InitializeDevice(device)).requires_grad_(requires_grad);

    public static Tensor linspace(
        double start, double end, long steps, ScalarType? dtype = null, Device? device = null, bool requires_grad = false)
        => Linspace.Call(start, end, steps, dtype, Value.None, InitializeDevice(device)).requires_grad_(requires_grad);

    public static Tensor eye(
        long rows, long columns = -1L, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null)
    {
        RefuseNames(names);
        return Eye.Call(rows, columns == -1 ? rows : columns, dtype, Value.None, InitializeDevice(device)).requires_grad_(requires_grad);
    }

    public static Tensor randint(
        long low,
        long high,
        long[] size,
        ScalarType? dtype = null,
        Device? device = null,
        bool requires_grad = false,
        Generator? generator = null,
        string[]? names = null)
    {
        RefuseNames(names);
        return RandInt.Call(low, high, size, generator, dtype ?? ScalarType.Int64, Value.None, InitializeDevice(device))
            .requires_grad_(requires_grad);
    }

    public static Tensor randint(
        int low,
        int high,
        int[] size,
        ScalarType? dtype = null,
        Device? device = null,
        bool requires_grad = false,
        Generator? generator = null,
        string[]? names = null)
        => randint(low, high, Array.ConvertAll(size, length => (long)length), dtype, device, requires_grad, generator, names);

    public static Tensor randperm(
        long n, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null)
        => RandPerm.Call(n, generator, dtype ?? ScalarType.Int64, Value.None, InitializeDevice(device)).requires_grad_(requires_grad);

    public static Tensor zeros_like(
        Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null)
        => Like(ZerosLike, input, dtype, device, requires_grad, names);

    public static Tensor ones_like(
        Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null)
        => Like(OnesLike, input, dtype, device, requires_grad, names);

    public static Tensor empty_like(
        Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null)
        => Like(EmptyLike, input, dtype, device, requires_grad, names);

    public static Tensor rand_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false)
        => Like(RandLike, input, dtype, device, requires_grad, null);

    public static Tensor randn_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false)
        => Like(RandNLike, input, dtype, device, requires_grad, null);

    public static Tensor full_like(
        Tensor input, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null)
    {
        RefuseNames(names);
        return FullLike.Call(input, value, dtype, Value.None, device).requires_grad_(requires_grad);
    }

    private static Tensor Like(
        Operator op, Tensor input, ScalarType? dtype, Device? device, bool requires_grad, string[]? names)
    {
        RefuseNames(names);
        return op.Call(input, dtype, Value.None, device).requires_grad_(requires_grad);
    }

    /// <summary>Calls a factory whose arguments are the size, possibly a value, and where and of what type the tensor is.</summary>
    private static unsafe Tensor Create(
        Operator op, ReadOnlySpan<long> size, Value value, ScalarType? dtype, Device? device, bool requires_grad, string[]? names)
    {
        RefuseNames(names);
        device = InitializeDevice(device);
        fixed (long* numbers = size)
        {
            var sizes = Value.Ints(numbers, size.Length);
            var result = value.Tag == Tag.None
                ? op.Call(sizes, dtype, Value.None, device)
                : op.Call(sizes, value, dtype, Value.None, device);
            return result.requires_grad_(requires_grad);
        }
    }

    private static void RefuseNames(string[]? names)
    {
        if (names is { Length: > 0 })
            throw new NotSupportedException("The system provider has no named dimensions.");
    }
}
