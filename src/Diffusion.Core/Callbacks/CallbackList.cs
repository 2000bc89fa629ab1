using System.Runtime.ExceptionServices;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core;

/// <summary>
/// Notifies the callbacks of a run, in order. An exception in one of them is thrown as a <see cref="TrainerCallbackException"/> after the
/// others have been notified, so that all callbacks have received the same steps when the run is saved.
/// </summary>
internal sealed class CallbackList(TrainingRun run, ILogger logger)
{
    /// <summary>The member in which a record of the run could not be written, and how many times, by callback.</summary>
    private readonly Dictionary<TrainerCallback, (string Member, int Count)> _lost = [];

    private int _started;

    public void Started()
    {
        foreach (var callback in run.Options.Callbacks)
        {
            if (Call(callback, nameof(Started), 0, static (callback, run, _) => callback.Started(run)) is { } failure)
                ExceptionDispatchInfo.Throw(failure);
            _started++;
        }
    }

    public void BeforeStep() => Notify(nameof(BeforeStep), 0, static (callback, run, _) => callback.BeforeStep(run));

    public void AfterStep() => Notify(nameof(AfterStep), 0, static (callback, run, _) => callback.AfterStep(run));

    public void Reported(TrainingProgress progress)
        => Notify(nameof(Reported), progress, static (callback, run, progress) => callback.Reported(run, progress));

    public void MetricLogged(string name, double value)
        => Notify(nameof(MetricLogged), (name, value), static (callback, run, metric) => callback.MetricLogged(run, metric.name, metric.value));

    public void ImageLogged(string name, string path)
        => Notify(nameof(ImageLogged), (name, path), static (callback, run, image) => callback.ImageLogged(run, image.name, image.path));

    public void Saved(string path) => Notify(nameof(Saved), path, static (callback, run, path) => callback.Saved(run, path));

    /// <summary>
    /// Notifies the callbacks that were started. An exception in one of them does not replace the exception that ended the run.
    /// </summary>
    /// <param name="error">The exception that ended the run; <see langword="null"/> if there was none.</param>
    public void Ended(Exception? error)
    {
        var reason = error;
        foreach (var callback in run.Options.Callbacks.Take(_started))
        {
            var failure = Call(callback, nameof(Ended), reason, static (callback, run, reason) => callback.Ended(run, reason));
            reason ??= failure;
        }

        if (error is null && reason is not null)
            ExceptionDispatchInfo.Throw(reason);
    }

    private void Notify<T>(string member, T argument, Action<TrainerCallback, TrainingRun, T> notify)
    {
        Exception? failure = null;
        foreach (var callback in run.Options.Callbacks)
        {
            var exception = Call(callback, member, argument, notify);
            failure ??= exception;
        }

        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>Calls one callback and logs its exception.</summary>
    /// <returns>The exception that ends the run; <see langword="null"/> if the callback returned.</returns>
    private Exception? Call<T>(TrainerCallback callback, string member, T argument, Action<TrainerCallback, TrainingRun, T> notify)
    {
        try
        {
            notify(callback, run, argument);
            if (_lost.TryGetValue(callback, out var lost) && lost.Member == member)
            {
                _lost.Remove(callback);
                TrainerLog.RecordsMissing(logger, callback.Name, run.Step, lost.Count);
            }

            return null;
        }
        catch (Exception e) when (callback.IsRecord && member != nameof(Started) && e is IOException or UnauthorizedAccessException)
        {
            if (!_lost.TryGetValue(callback, out var lost))
                TrainerLog.RecordLost(logger, callback.Name, member, run.Step, e.Message);
            _lost[callback] = (lost.Member ?? member, lost.Count + 1);
            return null;
        }
        catch (Exception e) when (e is OperationCanceledException or TrainerCallbackException)
        {
            // Cancellation is not a failure. A TrainerCallbackException is from a callback that this one notified, and already names it.
            return e;
        }
        catch (Exception e)
        {
            TrainerLog.CallbackFailed(logger, e, callback.Name, member, run.Step);
            return new TrainerCallbackException(callback, member, run.Step, e);
        }
    }
}
