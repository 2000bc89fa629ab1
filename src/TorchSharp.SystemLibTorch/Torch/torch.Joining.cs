using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    private static readonly Operator Cat = new("cat");
    private static readonly Operator Stack = new("stack");
    private static readonly Operator WhereSelf = new("where.self");
    private static readonly Operator CDist = new("cdist");
    private static readonly Operator Einsum = new("einsum");

    public static Tensor cat(IList<Tensor> tensors, long dim = 0) => cat(tensors.ToArray(), dim);

    /// <summary>The tensors one after the other; of a single one, that tensor's own memory.</summary>
    public static Tensor cat(Tensor[] tensors, long dim = 0) => tensors.Length switch
    {
        0 => throw new ArgumentException("There must be at least one tensor to join.", nameof(tensors)),
        1 => tensors[0].alias(),
        _ => Cat.Call(tensors, dim),
    };

    public static Tensor cat(ReadOnlySpan<Tensor> tensors, long dim = 0) => cat(tensors.ToArray(), dim);

    public static Tensor stack(IEnumerable<Tensor> tensors, long dim = 0) => Stack.Call(tensors.ToArray(), dim);

    public static Tensor where(Tensor condition, Tensor x, Tensor y) => WhereSelf.Call(condition, x, y);

    public static unsafe Tensor einsum(string equation, params Tensor[] tensors)
    {
        fixed (byte* bytes = System.Text.Encoding.UTF8.GetBytes(equation))
            return Einsum.Call(Value.Text(new ReadOnlySpan<byte>(bytes, equation.Length)), tensors);
    }

    public static Tensor cdist(
        Tensor x1, Tensor x2, double p = 2.0, compute_mode compute_mode = compute_mode.use_mm_for_euclid_dist_if_necessary)
        => CDist.Call(x1, x2, p, (long)compute_mode);

    public static Tensor matmul(Tensor input, Tensor target) => input.matmul(target);

    public static Tensor exp(Tensor input) => input.exp();

    public static Tensor sqrt(Tensor input) => input.sqrt();

    public static Tensor sin(Tensor input) => input.sin();

    public static Tensor cos(Tensor input) => input.cos();

    public static Tensor bmm(Tensor input, Tensor batch2) => input.bmm(batch2);

    public static Tensor softmax(Tensor input, int dim, ScalarType? dtype = null) => input.softmax(dim, dtype);

    public static bool allclose(Tensor tensor, Tensor target, double rtol = 1e-05, double atol = 1e-08, bool equal_nan = false)
        => tensor.allclose(target, rtol, atol, equal_nan);
}
