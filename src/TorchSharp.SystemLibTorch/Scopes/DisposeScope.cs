namespace TorchSharp;

/// <summary>Disposes the tensors that its thread makes while it is the innermost scope.</summary>
public sealed class DisposeScope : IDisposable
{
    private DisposeScopeManager? _manager;

    internal DisposeScope(DisposeScopeManager manager, DisposeScope? outer) => (_manager, OuterScope) = (manager, outer);

    public IReadOnlyList<IDisposable> DisposablesView
    {
        get
        {
            ObjectDisposedException.ThrowIf(_manager is null, this);
            return [.. Disposables];
        }
    }

    public int DisposablesCount
    {
        get
        {
            ObjectDisposedException.ThrowIf(_manager is null, this);
            return Disposables.Count;
        }
    }

    internal DisposeScope? OuterScope { get; set; }

    internal HashSet<IDisposable> Disposables { get; private set; } = NewSet();

    public T MoveToOuter<T>(T disposable)
        where T : IDisposable
    {
        Move(OuterScope, disposable);
        return disposable;
    }

    public T MoveToOther<T>(DisposeScope? scope, T disposable)
        where T : IDisposable
    {
        Move(scope, disposable);
        return disposable;
    }

    public T Detach<T>(T disposable)
        where T : IDisposable
    {
        Move(null, disposable);
        return disposable;
    }

    public void Attach(IDisposable disposable)
    {
        ObjectDisposedException.ThrowIf(_manager is null, this);
        if (Adopt(this, Tracked(disposable)))
            _manager.StatisticsInstance.TensorStatistics.AttachedToScopeCount++;
    }

    public bool Contains(IDisposable disposable) => Disposables.Contains(disposable);

    public void MarkAsDisposed(IDisposable disposable)
    {
        ObjectDisposedException.ThrowIf(_manager is null, this);
        Disposables.Remove(disposable);
        if (disposable is torch.Tensor tensor)
            tensor.OwningDisposeScope = null;
    }

    public void DisposeEverything() => DisposeAllBut([]);

    public T DisposeEverythingBut<T>(T keep)
        where T : IDisposable
    {
        DisposeAllBut([keep]);
        return keep;
    }

    public void Dispose()
    {
        if (_manager is null)
            return;
        DisposeEverything();
        _manager.RemoveDisposeScope(this);
        _manager = null;
    }

    /// <summary>Lets a tensor take the place of another in the scope that holds it, if one does.</summary>
    internal static void ReplaceWith(torch.Tensor original, torch.Tensor replacement)
    {
        if (original.OwningDisposeScope is { } scope && scope.Disposables.Remove(original))
        {
            original.OwningDisposeScope = null;
            Adopt(scope, replacement);
        }
    }

    private static HashSet<IDisposable> NewSet() => new(ReferenceEqualityComparer.Instance);

    private static torch.Tensor Tracked(IDisposable disposable)
        => disposable as torch.Tensor ?? throw new InvalidOperationException("DisposeScope can only manage Tensor or PackedSequence");

    private static bool Adopt(DisposeScope scope, torch.Tensor tensor)
    {
        var previous = tensor.OwningDisposeScope;
        if (ReferenceEquals(previous, scope))
            return false;
        scope.Disposables.Add(tensor);
        previous?.Disposables.Remove(tensor);
        tensor.OwningDisposeScope = scope;
        return true;
    }

    private void Move(DisposeScope? scope, IDisposable disposable)
    {
        ObjectDisposedException.ThrowIf(_manager is null, this);
        if (!Disposables.Remove(disposable))
            return;
        var tensor = Tracked(disposable);
        if (scope is not null)
        {
            Adopt(scope, tensor);
            return;
        }

        tensor.OwningDisposeScope = null;
        _manager.StatisticsInstance.TensorStatistics.DetachedFromScopeCount++;
    }

    private void DisposeAllBut(ReadOnlySpan<IDisposable> kept)
    {
        ObjectDisposedException.ThrowIf(_manager is null, this);
        var all = Disposables;
        Disposables = NewSet();
        foreach (var disposable in kept)
            Disposables.Add(disposable);
        foreach (var disposable in all)
        {
            if (!Disposables.Contains(disposable))
                disposable.Dispose();
        }
    }
}
