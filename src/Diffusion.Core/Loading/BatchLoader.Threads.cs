namespace Diffusion.Core;

public sealed partial class BatchLoader<TBatch>
{
    private Outcome LoadHere(CancellationToken cancellationToken)
    {
        var outcome = Assemble(Assign(Step), cancellationToken);
        if (outcome.Failure is null)
            Step++;
        return outcome;
    }

    private Outcome Take(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (Ready() is { } ready)
                return ready;
        }

        // Registered and let go outside the lock, which the callback takes.
        using var wake = cancellationToken.UnsafeRegister(_ => Wake(), null);
        lock (_gate)
        {
            while (true)
            {
                if (Ready() is { } outcome)
                    return outcome;
                cancellationToken.ThrowIfCancellationRequested();
                ObjectDisposedException.ThrowIf(_stopped, this);
                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>What came of the step at hand, taken out; a failure stays, so that nothing follows it.</summary>
    private Outcome? Ready()
    {
        ref var place = ref _outcomes[Step % _outcomes.Length];
        if (place is not { Failure: null } outcome)
            return place;
        place = null;
        Step++;
        Monitor.PulseAll(_gate);
        return outcome;
    }

    private void Wake()
    {
        lock (_gate)
            Monitor.PulseAll(_gate);
    }

    private void Work()
    {
        while (Claim() is { } work)
        {
            Outcome outcome;
            try
            {
                outcome = Assemble(work, _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            lock (_gate)
            {
                if (!_stopped)
                {
                    _outcomes[work.Step % _outcomes.Length] = outcome;
                    _noMoreClaims |= outcome.Failure is not null;
                    Monitor.PulseAll(_gate);
                    continue;
                }
            }

            outcome.Batch?.Dispose();
        }
    }

    /// <summary>The next step that nobody loads yet, when there is room for it; null when there is no more to do.</summary>
    private Assignment? Claim()
    {
        lock (_claims)
        {
            long step;
            lock (_gate)
            {
                while (!_stopped && !_noMoreClaims && _claimed - Step >= _outcomes.Length)
                    Monitor.Wait(_gate);
                if (_stopped || _noMoreClaims)
                    return null;
                step = _claimed++;
            }

            return Assign(step);
        }
    }

    private Assignment Assign(long step)
    {
        var work = new Assignment(step, new long[_batchSize], new ulong[_batchSize]);
        try
        {
            _order.Fill(step, work.Indices, work.Seeds);
            return work;
        }
        catch (Exception e) when (e is OverflowException or OutOfMemoryException)
        {
            return work with { Fault = e };
        }
    }

    private Outcome Assemble(Assignment work, CancellationToken cancellationToken)
    {
        try
        {
            if (work.Fault is not null)
                return new Outcome(default, work.Indices, new BatchLoadException(work.Step, work.Indices, work.Fault));
            var batch = _dataset.Load(work.Indices, new LoadContext(work.Seeds, cancellationToken));
            return new Outcome(batch ?? throw new InvalidOperationException("The data set gave no batch."), work.Indices, null);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // Whatever it is, it must surface at its step, and not on this thread.
            return new Outcome(default, work.Indices, new BatchLoadException(work.Step, work.Indices, e));
        }
    }

    private sealed record Assignment(long Step, long[] Indices, ulong[] Seeds, Exception? Fault = null);

    private sealed record Outcome(TBatch? Batch, long[] Indices, BatchLoadException? Failure);
}
