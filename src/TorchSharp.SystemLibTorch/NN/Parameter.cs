namespace TorchSharp.Modules;

/// <summary>A tensor that a module learns. Takes over the tensor it is made from.</summary>
public class Parameter : torch.Tensor
{
    public Parameter(torch.Tensor data, bool requires_grad = true)
        : base(data.requires_grad_(requires_grad).MoveHandle(), false)
        => DisposeScope.ReplaceWith(data, this);

    internal Parameter(nint handle)
        : base(handle)
    {
    }
}
