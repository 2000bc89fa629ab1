namespace TorchSharp;

/// <summary>The stack of scopes of one thread.</summary>
public class DisposeScopeManager
{
    [ThreadStatic]
    private static DisposeScopeManager? s_current;

    public static ThreadDisposeScopeStatistics Statistics => ThreadSingleton.StatisticsInstance;

    internal static DisposeScopeManager ThreadSingleton => s_current ??= new DisposeScopeManager();

    internal ThreadDisposeScopeStatistics StatisticsInstance { get; } = new();

    internal DisposeScope? CurrentDisposeScope { get; private set; }

    internal DisposeScope NewDisposeScope() => CurrentDisposeScope = new DisposeScope(this, CurrentDisposeScope);

    internal DisposeScope? RegisterOnCurrentDisposeScope(torch.Tensor tensor)
    {
        var statistics = StatisticsInstance;
        if (CurrentDisposeScope is not { } scope)
        {
            statistics.CreatedOutsideScopeCount++;
            return null;
        }

        statistics.CreatedInScopeCount++;
        scope.Add(tensor);
        return scope;
    }

    internal void CountDisposal(torch.Tensor tensor)
    {
        if (tensor.OwningDisposeScope is null)
            StatisticsInstance.DisposedOutsideScopeCount++;
        else
            StatisticsInstance.DisposedInScopeCount++;
    }

    /// <summary>Takes a scope out of the stack, wherever in it it is.</summary>
    internal void RemoveDisposeScope(DisposeScope closed)
    {
        if (ReferenceEquals(CurrentDisposeScope, closed))
        {
            CurrentDisposeScope = closed.OuterScope;
            return;
        }

        for (var scope = CurrentDisposeScope; scope is not null; scope = scope.OuterScope)
        {
            if (ReferenceEquals(scope.OuterScope, closed))
            {
                scope.OuterScope = closed.OuterScope;
                return;
            }
        }
    }
}
