using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using TorchSharp;

namespace Diffusion.Core.Tests;

/// <summary>
/// Whatever a run is made of: 2k steps equal k steps, a cancellation, and k steps of another trainer of another network in the state of
/// the checkpoint, bit for bit.
/// </summary>
public class ResumeChoiceTests
{
    private const int Half = 7;

    /// <summary>The first kinds, of which every combination is tried.</summary>
    private const int Combined = 4;

    /// <summary>Every two choices of different kinds occur together in a case.</summary>
    public static TheoryData<string> Pairs => [.. Covering().Select(Text)];

    /// <summary>Every combination of optimizer, averages, timesteps and accumulation; the other kinds take turns.</summary>
    public static TheoryData<string> All => [.. Product(0).Select((first, turn) => Text(WithTurns(first, turn)))];

    [Theory]
    [MemberData(nameof(Pairs))]
    public void A_run_in_two_parts_equals_one_without_a_break(string choices) => Resumes(choices);

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    [Trait(Category.Name, Category.Long)]
    public void A_run_in_two_parts_equals_one_without_a_break_in_every_combination(string choices) => Resumes(choices);

    [Fact]
    public void Every_pair_of_choices_is_tried()
    {
        var cases = Covering().ToArray();
        var sizes = Sizes();
        for (var a = 0; a < sizes.Length; a++)
        {
            for (var b = a + 1; b < sizes.Length; b++)
                cases.Select(one => (one[a], one[b])).Distinct().Should().HaveCount(sizes[a] * sizes[b]);
        }
    }

    private static void Resumes(string choices)
    {
        using var folder = new TemporaryFolder();
        var indices = Array.ConvertAll(choices.Split(' ', 2)[0].Split('-'), int.Parse);
        Train(indices, folder.File("whole"), seed: 1, from: null, cancelAt: null);
        Train(indices, folder.File("half"), seed: 1, from: null, cancelAt: Half);
        torch.rand(17).Dispose();

        Train(indices, folder.File("resumed"), seed: 2, from: folder.File("half"), cancelAt: null);

        Bits.OfFolder(folder.File("resumed")).Should().Equal(Bits.OfFolder(folder.File("whole")));
    }

    private static void Train(int[] indices, string to, long seed, string? from, int? cancelAt)
    {
        var loss = RunChoices.Losses[indices[^1]];
        var options = Runs.Options with { Steps = 2 * Half, LogEvery = 4 };
        for (var k = 0; k < RunChoices.Dimensions.Count; k++)
            options = RunChoices.Dimensions[k][indices[k]].Set(options);
        using var learned = Fresh(ref options);
        using var cancellation = new CancellationTokenSource();
        var progress = new DirectProgress();
        options = options with { Callbacks = [new Canceller(cancelAt, cancellation)] };
        using var network = new TinyDenoiser(seed, dropout: 0.1);
        using var model = loss.Of(network, DiscreteSchedule.Linear(12, 0.02, 0.6));
        using var trainer = new DdpmTrainer(model, loss.Make(), options);
        if (from is not null)
            trainer.Resume(from);
        var fit = () => trainer.Fit(new Points(13), progress, cancellation.Token);
        if (cancelAt is null)
            fit();
        else
            fit.Should().Throw<OperationCanceledException>();
        trainer.Save(to);
    }

    /// <summary>A sampler of times that learns is not shared between runs.</summary>
    private static LossSecondMomentTimesteps? Fresh(ref TrainerOptions options)
    {
        if (options.Timesteps is not LossSecondMomentTimesteps)
            return null;
        var fresh = new LossSecondMomentTimesteps(DiscreteSchedule.Linear(12), historyLength: 2);
        options = options with { Timesteps = fresh };
        return fresh;
    }

    private static int[] Sizes() => [.. RunChoices.Dimensions.Select(choices => choices.Count), RunChoices.Losses.Count];

    /// <summary>Cases with the most pairs that were not there before, until none is missing.</summary>
    private static IEnumerable<int[]> Covering()
    {
        var sizes = Sizes();
        var missing = (from a in Enumerable.Range(0, sizes.Length)
                       from b in Enumerable.Range(a + 1, sizes.Length - a - 1)
                       from i in Enumerable.Range(0, sizes[a])
                       from j in Enumerable.Range(0, sizes[b])
                       select (A: a, B: b, I: i, J: j)).ToHashSet();
        while (missing.Count > 0)
        {
            var (a, b, i, j) = missing.First();
            var one = new int[sizes.Length];
            Array.Fill(one, -1);
            (one[a], one[b]) = (i, j);
            for (var k = 0; k < one.Length; k++)
            {
                if (one[k] < 0)
                    one[k] = Enumerable.Range(0, sizes[k]).MaxBy(choice => missing.Count(pair
                        => (pair.A == k && pair.I == choice && one[pair.B] == pair.J)
                        || (pair.B == k && pair.J == choice && one[pair.A] == pair.I)));
            }

            missing.RemoveWhere(pair => one[pair.A] == pair.I && one[pair.B] == pair.J);
            yield return one;
        }
    }

    private static int[] WithTurns(int[] first, int turn)
    {
        // Of an odd period beside those of the product, so that no choice always meets the same others.
        var rest = Sizes().Skip(first.Length).Select((size, k) => (turn + (turn / 7 * (k + 1))) % size);
        return [.. first, .. rest];
    }

    private static IEnumerable<int[]> Product(int from)
    {
        if (from == Combined)
            return [[]];
        return Enumerable.Range(0, Sizes()[from]).SelectMany(first => Product(from + 1).Select(rest => (int[])[first, .. rest]));
    }

    private static string Text(int[] indices)
    {
        var names = RunChoices.Dimensions.Select((choices, k) => choices[indices[k]].Name).Append(RunChoices.Losses[indices[^1]].Name);
        return $"{string.Join('-', indices)} {string.Join(", ", names)}";
    }

    private sealed class Canceller(int? step, CancellationTokenSource source) : TrainerCallback
    {
        public override void AfterStep(TrainingRun run)
        {
            if (run.Step == step)
                source.Cancel();
        }
    }
}
