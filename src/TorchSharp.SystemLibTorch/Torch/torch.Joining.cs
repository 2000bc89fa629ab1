using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    private static readonly Operator Cat = new("cat");
    private static readonly Operator Stack = new("stack");
    private static readonly Operator WhereSelf = new("where.self");

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
}
