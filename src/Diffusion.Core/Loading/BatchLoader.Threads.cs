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

        // Registered and unregistered outside the lock, because the callback acquires it.
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

    /// <summary>
    /// Removes and returns the outcome of the current step; <see langword="null"/> if it is not ready. A failure is not removed, so that no
    /// batch follows it.
    /// </summary>
    private Outcome? Ready()
    {
        if (_fault is not null)
            return new Outcome(default, [], new BatchLoadException(Step, [], _fault));
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
        try
        {
            WorkUntilStopped();
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            // An exception that leaves a thread ends the process. This one belongs to no step, such as one for lack of memory.
            lock (_gate)
            {
                _fault = e;
                _noMoreClaims = true;
                Monitor.PulseAll(_gate);
            }
        }
    }

    private void WorkUntilStopped()
    {
        while (Claim() is { } work)
        {
            var outcome = Assemble(work, _stop.Token);
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

    /// <summary>
    /// Waits until there is room for another batch, and returns the next step that no thread loads yet; <see langword="null"/> if there are
    /// no more.
    /// </summary>
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
        try
        {
            var work = new Assignment(step, new long[_batchSize], new ulong[_batchSize]);
            _order.Fill(step, work.Indices, work.Seeds);
            return work;
        }
        catch (Exception e) when (e is OverflowException or OutOfMemoryException)
        {
            return new Assignment(step, [], [], e);
        }
    }

    private Outcome Assemble(Assignment work, CancellationToken cancellationToken)
    {
        try
        {
            if (work.Fault is not null)
                return new Outcome(default, work.Indices, new BatchLoadException(work.Step, work.Indices, work.Fault));
            var batch = _dataset.Load(work.Indices, new LoadContext(work.Seeds, cancellationToken));
            return new Outcome(batch ?? throw new InvalidOperationException("The data set must not return null."), work.Indices, null);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // Any exception must be thrown at its step, and not on this thread.
            return new Outcome(default, work.Indices, new BatchLoadException(work.Step, work.Indices, e));
        }
    }

    private sealed record Assignment(long Step, long[] Indices, ulong[] Seeds, Exception? Fault = null);

    private sealed record Outcome(TBatch? Batch, long[] Indices, BatchLoadException? Failure);
}
