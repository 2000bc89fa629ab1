using System.Diagnostics;

namespace Diffusion.Core.Testing;

/// <summary>Reads damaged files, and collects exceptions that are not documented, and files that take too much time or memory.</summary>
public sealed class Fuzzing
{
    /// <summary>The number of damaged files of a format in the normal run.</summary>
    public const int Cases = 2_000;

    /// <summary>The number of damaged files of a format in the long run.</summary>
    public const int LongCases = 20_000;

    private static readonly TimeSpan _maxTime = TimeSpan.FromSeconds(5);

    private readonly SortedDictionary<string, string> _faults = new(StringComparer.Ordinal);

    /// <summary>The exceptions that reading a file can throw.</summary>
    public required IReadOnlyList<Type> Documented { get; init; }

    /// <summary>The most memory of the managed heap that a file may take, in bytes. The default is 64 MiB.</summary>
    public long MaxBytes { get; init; } = 64L << 20;

    /// <summary>The number of files that were read without an exception.</summary>
    public int Accepted { get; private set; }

    /// <summary>The number of files that were rejected with a documented exception.</summary>
    public int Rejected { get; private set; }

    /// <summary>A description of each kind of fault, or an empty string.</summary>
    public string Faults => string.Join("\n\n", _faults.Values.Take(20));

    /// <summary>Reads damaged files.</summary>
    /// <param name="count">The number of files.</param>
    /// <param name="seed">The seed of the damage.</param>
    /// <param name="damage">Writes damaged file i, and describes it for messages.</param>
    /// <param name="read">Reads it, and disposes what was read.</param>
    public void Run(int count, int seed, Func<int, Random, string> damage, Action<int> read)
    {
        ArgumentNullException.ThrowIfNull(damage);
        ArgumentNullException.ThrowIfNull(read);
        for (var i = 0; i < count; i++)
        {
            var text = damage(i, new Random((seed * 1_000_003) + i));
            var (before, time) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.StartNew());
            try
            {
                read(i);
                Accepted++;
            }
            catch (Exception e) when (Documented.Contains(e.GetType()))
            {
                Rejected++;
                if (string.IsNullOrWhiteSpace(e.Message) || e.Message.Length > 20_000)
                    Add("message", i, text, $"a message of {e.Message.Length} characters");
            }
            catch (Exception e)
            {
                var place = e.StackTrace?.Split('\n').FirstOrDefault(line => line.Contains("Diffusion.Core", StringComparison.Ordinal));
                Add(e.GetType().Name + place, i, text, e.ToString());
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated > MaxBytes)
                Add("memory", i, text, $"{allocated} bytes");
            if (time.Elapsed > _maxTime)
                Add("time", i, text, $"{time.Elapsed.TotalSeconds:F1} s");
        }
    }

    private void Add(string kind, int index, string text, string what)
    {
        var (shown, file) = (what[..Math.Min(what.Length, 1_500)], text[..Math.Min(text.Length, 1_000)]);
        _faults.TryAdd(kind, $"case {index}: {shown}\n  of {file}");
    }
}
