using Diffusion.Core.Tests.Support;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Tests;

public class LogScopeTests
{
    [Fact]
    public void Whatever_is_logged_in_a_run_carries_its_step_and_epoch_as_values()
    {
        using var model = new TinyDenoiser();
        var logger = new ScopeLogger();
        using var trainer = Runs.Trainer(
            model, Runs.Options with { Steps = 4, LogEvery = 2, Callbacks = [Every.Steps(3, run => run.LogMetric("score", 1.0))] }, logger: logger);
        trainer.Run(new Points(16));

        logger.Entries.Where(entry => entry.Scope is not null).Should().Equal(
            ("Step 2 of 4", "Step=2 Epoch=1", "step 2, epoch 1.00"),
            ("Step 3: score", "Step=3 Epoch=1.5", "step 3, epoch 1.50"),
            ("Step 4 of 4", "Step=4 Epoch=2", "step 4, epoch 2.00"));
        logger.Open.Should().Be(0);
    }

    [Fact]
    public void Messages_have_their_values_by_name_too()
    {
        using var model = new TinyDenoiser();
        var logger = new ScopeLogger();
        using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 1 }, logger: logger);
        trainer.Run(new Points(16));

        logger.Values.Should().Contain(values => values.ContainsKey("Loss") && values.ContainsKey("LearningRate") && values.ContainsKey("{OriginalFormat}"));
    }

    /// <summary>Reads scopes as providers of Microsoft.Extensions.Logging do: as pairs of keys and values where they are such.</summary>
    private sealed class ScopeLogger : ILogger
    {
        private readonly Stack<object> _scopes = new();

        public List<(string Text, string? Scope, string? ScopeText)> Entries { get; } = [];

        public List<Dictionary<string, object?>> Values { get; } = [];

        public int Open => _scopes.Count;

        public IDisposable BeginScope<TState>(TState state)
            where TState : notnull
        {
            _scopes.Push(state);
            return new Scope(this);
        }

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Values.Add(((IEnumerable<KeyValuePair<string, object?>>)state!).ToDictionary());
            var scope = _scopes.FirstOrDefault() as IEnumerable<KeyValuePair<string, object>>;
            var text = formatter(state, exception);
            Entries.Add((
                text[..Math.Min(text.IndexOf(text.Contains("score") ? " 1" : ":", StringComparison.Ordinal) is var end and > 0 ? end : text.Length, text.Length)],
                scope is null ? null : string.Join(' ', scope.Select(pair => FormattableString.Invariant($"{pair.Key}={pair.Value}"))),
                scope?.ToString()));
        }

        private sealed class Scope(ScopeLogger owner) : IDisposable
        {
            public void Dispose() => owner._scopes.Pop();
        }
    }
}
