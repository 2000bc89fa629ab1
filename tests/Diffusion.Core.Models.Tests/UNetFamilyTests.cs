using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>What holds for every member of the family, whatever its levels are made of.</summary>
public class UNetFamilyTests
{
    private const int Context = 3;

    public static TheoryData<string> Members => [.. Family.Keys];

    private static Dictionary<string, UNetLayout> Family { get; } = new()
    {
        ["cross-attention"] = Of(
            new UNetBlockOptions { Attention = new SpatialTransformerOptions { Heads = 2, ContextWidth = Context } }, true),
        ["linear-only-cross"] = Of(
            new UNetBlockOptions
            {
                Attention = new SpatialTransformerOptions
                {
                    Heads = 1,
                    ContextWidth = Context,
                    LinearProjection = true,
                    OnlyCrossAttention = true,
                },
            },
            true),
        ["added-context"] = Of(
            new UNetBlockOptions
            {
                Attention = new SimpleCrossAttentionOptions { HeadWidth = 4, ContextWidth = Context, ContextGroups = 1 },
                Resampling = UNetResampling.Residual,
            },
            true),
        ["pyramid"] = Of(new NcsnppBlockOptions(), false) with { TimeEncoding = TimeEncoding.Fourier(scale: 1), DivideByTime = true },
        ["filter"] = Of(new KBlockOptions { GroupSize = 4 }, false) with { Middle = UNetMiddle.None },
        ["line"] = Of(new UNetBlockOptions { Attention = new SelfAttentionOptions() }, false) with { Dimensions = 1 },
        ["volume"] = Of(new UNetBlockOptions { Attention = new SelfAttentionOptions(), Resampling = UNetResampling.Residual }, false) with
        {
            Dimensions = 3,
            ScaleShift = true,
        },
        ["pyramid-line"] = Of(new NcsnppBlockOptions(), false) with { Dimensions = 1 },
        ["joined"] = Of(new UNetBlockOptions(), false) with
        {
            ClassEmbedding = UNetConditioning.LabelsAsTimes,
            JoinClassEmbedding = true,
            TimeActivation = Activation.Silu,
            EmbeddingActivation = Activation.Gelu,
        },
        ["told-everything"] = Of(new UNetBlockOptions(), true) with
        {
            AddedEmbedding = UNetConditioning.TextAndNumbers(2, 2, 4),
            TimestepConditionWidth = 3,
            SequenceWidth = Context,
            ProjectedSequenceWidth = 5,
            Middle = new UNetBlockOptions { Attention = new SpatialTransformerOptions { Heads = 1, ContextWidth = 5 } },
            TimeEncoding = TimeEncoding.Learned(1000),
            CenterInput = true,
        },
        ["pooled"] = Of(new UNetBlockOptions(), true) with { AddedEmbedding = UNetConditioning.PooledSequence(Context, 1) },
    };

    [Theory]
    [MemberData(nameof(Members))]
    public void A_sample_of_a_batch_is_answered_as_if_it_were_alone(string member)
    {
        using var scope = NewDisposeScope();
        using var unet = Build(member);
        var (x, t, condition) = Inputs(unet.Layout, 3);

        var together = unet.Predict(x, t, condition);

        together.shape.Should().Equal(x.shape);
        together.abs().max().item<double>().Should().BeGreaterThan(0.01);
        for (var k = 0; k < 3; k++)
        {
            var alone = unet.Predict(x.narrow(0, k, 1), t.narrow(0, k, 1), condition.Slice(k, 1));
            alone.sub(together.narrow(0, k, 1)).abs().max().item<double>().Should().BeLessThan(1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(Members))]
    public void Gradients_are_those_of_finite_differences(string member)
    {
        using var scope = NewDisposeScope();
        using var unet = Build(member);
        var (x, t, condition) = Inputs(unet.Layout, 2);
        x.requires_grad_(true);
        var weights = randn_like(x);
        var leaves = unet.parameters().Append(x).ToArray();
        unet.Predict(x, t, condition).mul(weights).sum().backward();
        leaves.Where(leaf => leaf.grad is null).Should().BeEmpty();
        foreach (var leaf in leaves)
            leaf.grad!.zero_();

        GradientCheck.LargestError(() => unet.Predict(x, t, condition).mul(weights).sum(), leaves).Should().BeLessThan(1e-6);
    }

    [Theory]
    [MemberData(nameof(Members))]
    public void Checkpointed_activations_change_nothing(string member)
    {
        using var scope = NewDisposeScope();
        using var plain = Build(member);
        using var sparing = new UNet(plain.Layout with { UseGradientCheckpointing = true });
        sparing.to(ScalarType.Float64);
        Copy(plain, sparing);
        var (x, t, condition) = Inputs(plain.Layout, 2);
        Tensor Loss(UNet unet) => unet.Predict(x, t, condition).pow(2).sum();

        var (expected, actual) = (Loss(plain), Loss(sparing));
        expected.backward();
        actual.backward();

        actual.item<double>().Should().Be(expected.item<double>());
        foreach (var ((name, parameter), other) in plain.named_parameters().Zip(sparing.parameters()))
        {
            var error = other.grad!.sub(parameter.grad!).abs().max().item<double>();
            error.Should().BeLessThan(1e-12 * (1 + parameter.grad!.abs().max().item<double>()), name);
        }
    }

    [Theory]
    [MemberData(nameof(Members))]
    public void State_goes_through_a_file_and_back(string member)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var first = Build(member);
        using var second = Build(member);
        var (x, t, condition) = Inputs(first.Layout, 1);
        ModuleWeights.Save(first, folder.File("weights.safetensors"));
        var different = second.Predict(x, t, condition);
        ModuleWeights.Load(second, folder.File("weights.safetensors"));

        var expected = first.Predict(x, t, condition);
        second.Predict(x, t, condition).sub(expected).abs().max().item<double>().Should().Be(0);
        different.sub(expected).abs().max().item<double>().Should().BeGreaterThan(1e-3);
    }

    [Theory]
    [MemberData(nameof(Members))]
    public void Live_tensors_stay_constant(string member)
    {
        using var outer = NewDisposeScope();
        using var unet = Build(member);
        var (x, t, condition) = Inputs(unet.Layout, 2);
        void Step()
        {
            using var scope = NewDisposeScope();
            unet.Predict(x, t, condition).pow(2).mean().backward();
            using var guard = no_grad();
            using var output = unet.Predict(x, t, condition);
        }

        Step();
        LiveTensors.Change(Step).Should().Be(0);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_network_of_fewer_dimensions_is_one_of_more_on_a_flat_image(int dimensions)
    {
        using var scope = NewDisposeScope();
        var options = new UNetOptions
        {
            Dimensions = dimensions,
            Channels = 2,
            Width = 8,
            Multipliers = [1, 2],
            LayersPerBlock = 1,
            AttentionResolutions = [16],
            ZeroOutput = false,
        };
        using var flat = new UNet(options).to(ScalarType.Float64);
        using var deep = new UNet(options with { Dimensions = dimensions + 1 }).to(ScalarType.Float64);
        using (no_grad())
        {
            var state = flat.state_dict();
            foreach (var (name, weight) in deep.state_dict())
            {
                if (weight.dim() < 3)
                {
                    weight.copy_(state[name]);
                    continue;
                }

                weight.zero_();
                weight.select(2, weight.shape[2] / 2).copy_(state[name]);
            }
        }

        var x = randn([2, 2, .. new long[] { 9, 6 }[..dimensions]], dtype: ScalarType.Float64);
        var t = tensor(new long[] { 3, 700 });

        var error = deep.Predict(x.unsqueeze(2), t).squeeze(2).sub(flat.Predict(x, t)).abs().max().item<double>();

        error.Should().BeLessThan(1e-12);
    }

    [Fact]
    public void Tokens_that_a_mask_hides_do_not_matter()
    {
        using var scope = NewDisposeScope();
        foreach (var member in new[] { "cross-attention", "linear-only-cross", "added-context" })
        {
            using var unet = Build(member);
            var (x, t, condition) = Inputs(unet.Layout, 2);
            var mask = tensor(new[] { true, true, false, true, true, true, true, false }).view(2, 4);
            var changed = condition.EncoderHiddenStates!.clone();
            changed[0, 2].add_(100);
            changed[1, 3].add_(100);
            Tensor Answer(Tensor sequence, Tensor? hidden)
                => unet.Predict(x, t, Condition.Create(encoderHiddenStates: sequence, encoderAttentionMask: hidden, labels: condition.Labels));
            double Change(Tensor sequence, Tensor? hidden)
                => Answer(sequence, hidden).sub(Answer(condition.EncoderHiddenStates!, mask)).abs().max().item<double>();

            // A group norm of the tokens sees them all.
            if (member != "added-context")
                Change(changed, mask).Should().BeLessThan(1e-12, member);
            Change(condition.EncoderHiddenStates!, null).Should().BeGreaterThan(1e-5, member);
        }
    }

    internal static UNet Build(string member)
    {
        var unet = new UNet(Family[member]);
        unet.to(ScalarType.Float64);
        return unet;
    }

    internal static (Tensor X, Tensor T, Condition Condition) Inputs(UNetLayout layout, long batch)
    {
        var x = randn([batch, 2, .. Enumerable.Repeat(4L, layout.Dimensions)], dtype: ScalarType.Float64);
        var condition = Condition.Create(
            labels: tensor(new long[] { 2, 0, 1 }).narrow(0, 0, batch).clone(),
            vector: randn([batch, 4], dtype: ScalarType.Float64),
            timestepCondition: randn([batch, 3], dtype: ScalarType.Float64),
            encoderHiddenStates: randn([batch, 4, Context], dtype: ScalarType.Float64));
        return (x, tensor(new long[] { 5, 800, 20 }).narrow(0, 0, batch).clone(), condition);
    }

    private static UNetLayout Of(IUNetBlockOptions block, bool conditional) => new()
    {
        Channels = 2,
        ImageSize = 4,
        Levels = [new UNetLevel { Width = 4, Layers = 1, Down = block }, new UNetLevel { Width = 8, Layers = 1, Down = block }],
        GroupNormGroups = 2,
        ZeroOutput = false,
        ClassEmbedding = conditional ? UNetConditioning.Classes(3) : null,
    };

    private static void Copy(UNet from, UNet to)
    {
        using var guard = no_grad();
        var state = from.state_dict();
        foreach (var (name, tensor) in to.state_dict())
            tensor.copy_(state[name]);
    }
}
