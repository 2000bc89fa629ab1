using Diffusion.Core.Testing;
using TorchSharp;
using static Diffusion.Core.Models.Tests.SmallTransformers;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>What every transformer that denoises images answers.</summary>
public class TransformerTests
{
    public static TheoryData<string> Names => SmallTransformers.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void Each_sample_is_answered_as_if_it_were_alone(string name)
    {
        using var scope = NewDisposeScope();
        using var network = Make(name).to(ScalarType.Float64);
        foreach (var (height, width) in new[] { (8, 8), (16, 8) })
        {
            var (x, t, condition) = Inputs(3, height, width, ScalarType.Float64);

            var together = network.Predict(x, t, condition);

            together.shape.Should().Equal(3, 2, height, width);
            for (var k = 0; k < 3; k++)
            {
                var alone = network.Predict(x.narrow(0, k, 1), t.narrow(0, k, 1), condition.Slice(k, 1));
                Largest(alone.sub(together.narrow(0, k, 1))).Should().BeLessThan(1e-12);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Gradients_are_those_of_finite_differences(string name)
    {
        using var scope = NewDisposeScope();
        using var network = Make(name).to(ScalarType.Float64);
        var (x, t, condition) = Inputs(2, 8, 8, ScalarType.Float64);
        x.requires_grad_(true);
        condition.Vector!.requires_grad_(true);
        var weights = randn([2, 2, 8, 8], dtype: ScalarType.Float64);

        GradientCheck.LargestError(
            () => network.Predict(x, t, condition).mul(weights).sum(),
            network.parameters().Append(x).Append(condition.Vector)).Should().BeLessThan(1e-6);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Data_time_label_and_vector_all_matter(string name)
    {
        using var scope = NewDisposeScope();
        using var network = Make(name).to(ScalarType.Float64);
        var (x, t, condition) = Inputs(1, 8, 8, ScalarType.Float64);
        Tensor Answer(Tensor data, long time, long label, Tensor vector)
            => network.Predict(data, tensor(new[] { time }), Condition.Create(labels: tensor(new[] { label }), vector: vector));

        var vector = condition.Vector!;
        var answer = Answer(x, 10, 0, vector);
        Largest(answer.sub(Answer(x, 10, 0, vector))).Should().Be(0);
        Largest(answer.sub(Answer(x.add(0.1), 10, 0, vector))).Should().BeGreaterThan(1e-3);
        Largest(answer.sub(Answer(x, 11, 0, vector))).Should().BeGreaterThan(1e-4);
        Largest(answer.sub(Answer(x, 10, 1, vector))).Should().BeGreaterThan(1e-2);
        Largest(answer.sub(Answer(x, 10, 0, vector.add(1)))).Should().BeGreaterThan(1e-2);
        Largest(answer.sub(Answer(x, 10, Classes, vector))).Should().BeGreaterThan(1e-2);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Written_and_read_again_it_answers_the_same(string name)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var network = Make(name);
        using var other = Make(name, seed: 8);
        var (x, t, condition) = Inputs(2, 8, 8, ScalarType.Float32);

        ModuleWeights.Save(network, folder.File("weights.safetensors"));
        Largest(network.Predict(x, t, condition).sub(other.Predict(x, t, condition))).Should().BeGreaterThan(1e-3);
        ModuleWeights.Load(other, folder.File("weights.safetensors"));

        other.Predict(x, t, condition).ShouldBeIdentical(network.Predict(x, t, condition), name);
    }

    [Theory]
    [InlineData("DiT")]
    [InlineData("DiT, one embedding")]
    public void A_DiT_with_an_embedding_in_each_block_answers_as_the_one_it_comes_from(string name)
    {
        using var scope = NewDisposeScope();
        using var network = (DiT)Make(name).to(ScalarType.Float64);
        var (x, t, condition) = Inputs(2, 8, 8, ScalarType.Float64);
        network.eval();

        using var copy = network.WithEmbeddingPerBlock();

        copy.Options.SharedEmbedding.Should().BeFalse();
        copy.training.Should().BeFalse();
        copy.state_dict().Keys.Should().Contain("transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.weight");
        copy.Predict(x, t, condition).ShouldBeIdentical(network.Predict(x, t, condition), name);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void In_half_the_bits_the_answer_is_close(string name)
    {
        using var scope = NewDisposeScope();
        using var network = Make(name);
        var (x, t, condition) = Inputs(2, 8, 8, ScalarType.Float32);
        var expected = network.Predict(x, t, condition);

        network.to(ScalarType.BFloat16);
        var half = Condition.Create(labels: condition.Labels, vector: condition.Vector!.to(ScalarType.BFloat16));
        var actual = network.Predict(x.to(ScalarType.BFloat16), t, half);

        actual.dtype.Should().Be(ScalarType.BFloat16);
        Largest(actual.sub(expected)).Should().BeLessThan(0.06 * Largest(expected));
    }

    [Theory]
    [MemberData(nameof(Names))]
    [Trait(Category.Name, Category.Fault)]
    public void What_does_not_fit_is_refused_before_native_code(string name)
    {
        using var scope = NewDisposeScope();
        using var network = Make(name);
        var (x, t, condition) = Inputs(2, 8, 8, ScalarType.Float32);
        var (labels, vector) = (condition.Labels!, condition.Vector!);
        void Refused(string message, Tensor? data = null, Tensor? times = null, Tensor? label = null, Tensor? told = null)
        {
            var given = Condition.Create(labels: label ?? labels, vector: told ?? vector);
            Refusal.Expect(() => network.Predict(data ?? x, times ?? t, given), message);
        }

        Refused("*xt*[*, 1, *, *]*[2, 3, 8, 8]*", data: zeros(2, 3, 8, 8));
        Refused("*xt*[*, 1, *, *]*[1, 8, 8]*", data: zeros(1, 8, 8));
        Refused("*[2, 1, 0, 8]*", data: zeros(2, 1, 0, 8));
        Refused("*at least one sample*", data: zeros(0, 1, 8, 8));
        Refused("*Float32*Float64*", data: x.to(ScalarType.Float64));
        Refused("*t must have shape [2]*[1]*", times: tensor(new long[] { 1 }));
        Refused("*Int64 or floating point*Int32*", times: tensor(new[] { 1, 2 }));
        Refusal.Expect(
            () => network.Predict(x, t, Condition.Create(labels: tensor(new long[] { 0 }), vector: vector[..1])), "*labels*[2]*[1]*");
        Refused("*[0, 3]*4*", label: tensor(new long[] { 0, 4 }));
        Refused("*vector*[2, 4]*[2, 5]*", told: zeros(2, 5));
        Refused("*vector*Float32*Float64*", told: vector.to(ScalarType.Float64));
        Refusal.Expect(() => network.Predict(x, t, Condition.Create(labels: labels)), "*vector of 4*none*");
        Refusal.Expect(() => network.Predict(x, t), "*label*none*");
        if (network is not SwinDenoiser)
            Refused("*multiples of the patch size*[2, 1, 9, 8]*", data: zeros(2, 1, 9, 8));
    }

    [Theory]
    [MemberData(nameof(Names))]
    [Trait(Category.Name, Category.Gpu)]
    public void On_the_gpu_it_answers_as_on_the_cpu(string name)
    {
        Assert.SkipUnless(cuda.is_available(), "There is no CUDA device.");
        using var scope = NewDisposeScope();
        using var network = Make(name);
        var (x, t, condition) = Inputs(2, 8, 8, ScalarType.Float32);

        var expected = network.Predict(x, t, condition);
        network.to(CUDA);
        var actual = network.Predict(x.cuda(), t.cuda(), condition.To(CUDA)).cpu();

        Largest(actual.sub(expected)).Should().BeLessThan(1e-3);
    }
}
