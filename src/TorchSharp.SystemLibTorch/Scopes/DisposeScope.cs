namespace TorchSharp;

/// <summary>Disposes the tensors that its thread makes while it is the innermost scope.</summary>
public sealed class DisposeScope : IDisposable
{
    private readonly HashSet<IDisposable> _disposables = new(ReferenceEqualityComparer.Instance);
    private DisposeScopeManager? _manager;

    internal DisposeScope(DisposeScopeManager manager, DisposeScope? outer) => (_manager, OuterScope) = (manager, outer);

    public int DisposablesCount
    {
        get
        {
            ObjectDisposedException.ThrowIf(_manager is null, this);
            return _disposables.Count;
        }
    }

    internal DisposeScope? OuterScope { get; set; }

    public void Attach(IDisposable disposable)
    {
        ObjectDisposedException.ThrowIf(_manager is null, this);
        Adopt(disposable as torch.Tensor ?? throw new InvalidOperationException("DisposeScope can only manage Tensor or PackedSequence"));
    }

    public bool Contains(IDisposable disposable) => _disposables.Contains(disposable);

    public void Dispose()
    {
        if (_manager is null)
            return;
        foreach (var disposable in _disposables.ToArray())
            disposable.Dispose();
        _manager.RemoveDisposeScope(this);
        _manager = null;
    }

    /// <summary>Lets a tensor take the place of another in the scope that holds it, if one does.</summary>
    internal static void ReplaceWith(torch.Tensor original, torch.Tensor replacement)
    {
        if (original.OwningDisposeScope is not { } scope)
            return;
        scope.Remove(original);
        scope.Adopt(replacement);
    }

    /// <summary>Takes in a tensor that no scope holds.</summary>
    internal void Add(torch.Tensor tensor) => _disposables.Add(tensor);

    /// <summary>Forgets a tensor, which belongs to no scope then.</summary>
    internal void Remove(torch.Tensor tensor)
    {
        ObjectDisposedException.ThrowIf(_manager is null, this);
        _disposables.Remove(tensor);
        tensor.OwningDisposeScope = null;
    }

    internal void MoveToOuter(torch.Tensor tensor)
    {
        if (OuterScope is null)
            Detach(tensor);
        else
            OuterScope.Adopt(tensor);
    }

    internal void Detach(torch.Tensor tensor)
    {
        Remove(tensor);
        _manager!.StatisticsInstance.DetachedFromScopeCount++;
    }

    private void Adopt(torch.Tensor tensor)
    {
        tensor.OwningDisposeScope?._disposables.Remove(tensor);
        _disposables.Add(tensor);
        tensor.OwningDisposeScope = this;
    }
}
