namespace Diffusion.Core.Models.Tests;

/// <summary>Inference scopes over one network overlap in any order, in one thread and in several.</summary>
public class EvaluationModeTests
{
    [Theory]
    [InlineData(new[] { 0, 1, 2 })]
    [InlineData(new[] { 2, 1, 0 })]
    [InlineData(new[] { 1, 2, 0 })]
    public void The_last_scope_restores_what_the_first_one_found(int[] order)
    {
        using var network = Network();
        network.train();
        var frozen = network.modules().Last();
        frozen.eval();
        var scopes = Enumerable.Range(0, 3).Select(_ => network.BeginInference()!).ToArray();
        foreach (var index in order)
        {
            network.training.Should().BeFalse();
            EvaluationMode.IsOpen(network).Should().BeTrue();
            scopes[index].Dispose();
            scopes[index].Dispose();
        }

        EvaluationMode.IsOpen(network).Should().BeFalse();
        network.training.Should().BeTrue();
        frozen.training.Should().BeFalse();
    }

    [Fact]
    public void Scopes_of_several_threads_keep_the_network_in_evaluation()
    {
        using var network = Network();
        network.train();
        var wrong = 0;
        var threads = Enumerable.Range(0, 4).Select(seed => new Thread(() =>
        {
            var random = new Random(seed);
            for (var i = 0; i < 200; i++)
            {
                using var scope = network.BeginInference();
                Thread.SpinWait(random.Next(500));
                if (network.modules().Any(part => part.training))
                    Interlocked.Increment(ref wrong);
            }
        })).ToArray();
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        wrong.Should().Be(0);
        network.training.Should().BeTrue();
    }

    private static MlpDenoiser Network() => new(new MlpDenoiserOptions { Width = 8, Layers = 2 });
}
