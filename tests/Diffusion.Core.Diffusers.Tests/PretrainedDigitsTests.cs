using Diffusion.Core.Data;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>The network of the PretrainedDigits sample, and whether real digits recognise what it draws.</summary>
public class PretrainedDigitsTests
{
    private const int Digits = 10;
    private const int Each = 3;
    private const int References = 10_000;

    private static string Folder => Path.Combine(TestData.Root, "samples", "PretrainedDigits", "mnist-ddpm");

    [Theory]
    [InlineData("DDIMScheduler", 15)]
    [InlineData("DPMSolverMultistepScheduler", 10)]
    public void Most_digits_are_nearest_to_a_real_one_of_their_label(string scheduler, int steps)
    {
        using var scope = NewDisposeScope();
        var mnist = new Mnist(TestData.RequireData("mnist"));
        using var real = mnist.Load([.. Enumerable.Range(0, (int)Math.Min(References, mnist.Count)).Select(i => (long)i)]);
        var realLabels = real.Condition!.Labels!.data<long>().ToArray();
        long[] labels = [.. Enumerable.Range(0, Digits * Each).Select(i => (long)(i / Each))];
        using var pipeline = DiffusersPipeline.Load(Folder);

        var images = pipeline.Sample(
            new PipelineRequest { Labels = labels, GuidanceScale = 1.0, Steps = steps, Scheduler = pipeline.Scheduler.As(scheduler) },
            cancellationToken: TestContext.Current.CancellationToken);

        var read = Nearest(images.flatten(1), real.Samples.flatten(1)).Select(index => realLabels[index]);
        read.Zip(labels).Count(pair => pair.First == pair.Second).Should().BeGreaterThanOrEqualTo(labels.Length - 4);
    }

    /// <summary>For each row of the first, the index of the nearest row of the second.</summary>
    private static int[] Nearest(Tensor rows, Tensor references)
    {
        using var scope = NewDisposeScope();
        var distances = references.pow(2).sum(1L).unsqueeze(0).sub(rows.matmul(references.t()).mul(2));
        var values = distances.data<float>().ToArray();
        var count = (int)references.shape[0];
        return [.. values.Chunk(count).Select(row => Array.IndexOf(row, row.Min()))];
    }
}
