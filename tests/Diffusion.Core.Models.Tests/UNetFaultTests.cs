using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

[Trait(Category.Name, Category.Fault)]
public class UNetFaultTests
{
    private static readonly UNetOptions Small = new() { ImageSize = 8, Channels = 1, Width = 8, Multipliers = [1, 2], LayersPerBlock = 1 };
    private static readonly UNetLayout Layout = Small.ToLayout();

    /// <summary>What is wrong, how, and what the message must say.</summary>
    public static TheoryData<string, UNetOptions, string> BadOptions => new()
    {
        { "no image", Small with { ImageSize = 0 }, "*ImageSize*greater than 0*0*" },
        { "no channels", Small with { Channels = 0 }, "*Channels*greater than 0*0*" },
        { "no output", Small with { OutChannels = -1 }, "*OutChannels*greater than 0*-1*" },
        { "no width", Small with { Width = 0 }, "*positive width*0*" },
        { "no levels", Small with { Multipliers = [] }, "*at least one level*" },
        { "a level without width", Small with { Multipliers = [1, 0] }, "*positive width*8, 0*" },
        { "no layers", Small with { LayersPerBlock = 0 }, "*LayersPerBlock*greater than 0*0*" },
        { "dropout of everything", Small with { Dropout = 1 }, "*Dropout*[0, 1)*1*" },
        { "no dropout number", Small with { Dropout = double.NaN }, "*Dropout*[0, 1)*NaN*" },
        { "groups that do not divide", Small with { GroupNormGroups = 3 }, "*GroupNormGroups*3*8*" },
        { "no groups", Small with { GroupNormGroups = 0 }, "*GroupNormGroups*greater than 0*0*" },
        { "no epsilon", Small with { NormEpsilon = 0 }, "*NormEpsilon*greater than 0*0*" },
        { "odd width", Small with { Width = 9, Multipliers = [1] }, "*even number*9*" },
        { "shift beyond the frequencies", Small with { TimeEncoding = TimeEncoding.Sinusoidal(frequencyShift: 4) }, "*frequency shift*4*" },
        { "attention nowhere", Small with { AttentionResolutions = [5] }, "*AttentionResolutions*8, 4*got 5*" },
        { "heads that do not divide", Small with { AttentionResolutions = [4], HeadWidth = 5 }, "*HeadWidth*5*16*" },
        { "middle heads that do not divide", Small with { HeadWidth = 5 }, "*HeadWidth*5*16*" },
        { "no head", Small with { HeadWidth = 0 }, "*HeadWidth*greater than 0*0*" },
        { "no classes", Small with { Classes = 0 }, "*Classes*greater than 0*0*" },
        { "too much padding", Small with { DownsamplePadding = 2 }, "*DownsamplePadding*[0, 1]*2*" },
        { "too small for its levels", Small with { ImageSize = 1, DownsamplePadding = 0 }, "*ImageSize*at least 2*1*" },
    };

    /// <summary>The same of levels, embeddings and dimensions.</summary>
    public static TheoryData<string, UNetLayout, string> BadParts => new()
    {
        { "a level without width", Layout with { Levels = [new UNetLevel { Width = 8 }, new UNetLevel { Width = 0 }] }, "*positive width*8, 0*" },
        { "an odd width", Layout with { Levels = [new UNetLevel { Width = 9 }] }, "*even number*9*" },
        { "four dimensions", Layout with { Dimensions = 4 }, "*Dimensions*[1, 3]*4*" },
        { "an empty level", Layout with { Levels = [new UNetLevel { Width = 8, Layers = 0 }] }, "*Layers*greater than 0*0*" },
        { "no levels at all", Layout with { Levels = [] }, "*at least one level*" },
        { "nothing to join", Layout with { JoinClassEmbedding = true }, "*JoinClassEmbedding*needs*none*" },
        {
            "added to joined",
            Layout with { ClassEmbedding = UNetConditioning.Classes(2), JoinClassEmbedding = true, AddedEmbedding = UNetConditioning.LinearVector(2) },
            "*AddedEmbedding*JoinClassEmbedding*"
        },
        { "a projection to nowhere", Layout with { SequenceWidth = 3 }, "*SequenceWidth*ProjectedSequenceWidth*3*" },
        { "a projection to nothing", Layout with { SequenceWidth = 3, ProjectedSequenceWidth = 0 }, "*ProjectedSequenceWidth*greater than 0*0*" },
        { "an even kernel", Layout with { InputKernel = 4 }, "*InputKernel*odd*4*" },
        { "no kernel", Layout with { OutputKernel = 0 }, "*OutputKernel*odd*0*" },
        { "heads that do not divide", Crossed(new() { Heads = 3, ContextWidth = 4 }), "*Heads*8*3*" },
        { "no context", Crossed(new() { ContextWidth = 0 }), "*ContextWidth*greater than 0*0*" },
        { "no transformer layers", Crossed(new() { ContextWidth = 4, Layers = 0 }), "*Layers*greater than 0*0*" },
        { "groups of tokens", Added(new() { HeadWidth = 4, ContextWidth = 4, ContextGroups = 3 }), "*groups*4*3*" },
        { "a head too wide", Added(new() { HeadWidth = 5, ContextWidth = 4 }), "*head width*8*5*" },
        { "groups of a size", OfBlock(new KBlockOptions()), "*GroupSize*32*8*" },
        { "a pyramid in the middle", Layout with { Middle = new NcsnppBlockOptions() }, "*NcsnppBlockOptions*middle*" },
        { "a gate where there is none", Layout with { Activation = Activation.GeGlu }, "*Activation*one input*2*" },
        { "an odd Fourier width", Layout with { TimeEncoding = TimeEncoding.Fourier() with { VectorWidth = 7 } }, "*Fourier*even*7*" },
    };

    [Theory]
    [MemberData(nameof(BadParts))]
    public void Parts_that_do_not_fit_are_refused(string what, UNetLayout layout, string message)
        => FluentActions.Invoking(() => new UNet(layout)).Should().Throw<ArgumentException>(what).WithMessage(message);

    [Fact]
    public void A_condition_that_does_not_fit_is_refused_before_native_code()
    {
        using var scope = NewDisposeScope();
        using var crossed = new UNet(Crossed(new() { Heads = 2, ContextWidth = 4 }));
        using var told = new UNet(Layout with { AddedEmbedding = UNetConditioning.ProjectedVector(5), TimestepConditionWidth = 3 });
        using var pooled = new UNet(Layout with { AddedEmbedding = UNetConditioning.PooledSequence(4, 2) });
        using var timed = new UNet(Layout with { ClassEmbedding = UNetConditioning.LabelsAsTimes });
        using var pyramid = new UNet(OfBlock(new NcsnppBlockOptions()));
        using var filter = new UNet(OfBlock(new KBlockOptions { GroupSize = 4 }));
        var x = zeros(2, 1, 8, 8);
        void Refuse(UNet unet, Condition? condition, string message, Tensor? data = null)
            => FluentActions.Invoking(() => unet.Predict(data ?? x, ones(2), condition))
                .Should().Throw<ArgumentException>().WithMessage(message);

        Refuse(crossed, null, "*sequence*none*");
        Refuse(crossed, Condition.Create(encoderHiddenStates: zeros(2, 3, 5)), "*4*[2, 3, 5]*");
        Refuse(crossed, Condition.Create(encoderHiddenStates: zeros(1, 3, 4)), "*condition.EncoderHiddenStates*[2, *, *]*[1, 3, 4]*");
        Refuse(crossed, Condition.Create(encoderHiddenStates: zeros(2, 3, 4, dtype: ScalarType.Float64)), "*condition.EncoderHiddenStates*");
        Refuse(crossed, Condition.Create(encoderHiddenStates: zeros(2, 0, 4)), "*condition.EncoderHiddenStates*at least one token*[2, 0, 4]*");
        Refuse(told, null, "*vector*[B, 5]*none*");
        Refuse(told, Condition.Create(vector: zeros(2, 4)), "*condition.Vector*[2, 5]*[2, 4]*");
        Refuse(told, Condition.Create(vector: zeros(2, 5), timestepCondition: zeros(2, 4)), "*condition.TimestepCondition*[2, 3]*[2, 4]*");
        Refuse(pooled, null, "*sequence*[B, L, 4]*none*");
        Refuse(timed, null, "*label*none*");
        Refuse(pyramid, null, "*divisible by two*", zeros(2, 1, 7, 8));
        Refuse(filter, null, "*divisible by two*", zeros(2, 1, 7, 8));
        Refuse(filter, null, "*at least 2 by 2*", zeros(2, 1, 1, 8));
        Refuse(crossed, null, "*xt*[*, 1, *, *]*[2, 1, 8]*", zeros(2, 1, 8));
    }

    [Theory]
    [MemberData(nameof(BadOptions))]
    public void Options_that_do_not_fit_are_refused(string what, UNetOptions options, string message)
        => FluentActions.Invoking(() => new UNet(options)).Should().Throw<ArgumentException>(what).WithMessage(message);

    [Fact]
    public void Data_of_a_wrong_shape_type_or_size_is_refused_before_native_code()
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(Small);
        using var asymmetric = new UNet(Small with { DownsamplePadding = 0 });
        var x = zeros(2, 1, 8, 8);
        var t = tensor(new long[] { 1, 2 });

        Refused(unet, zeros(2, 3, 8, 8), t, null, "*xt*[*, 1, *, *]*[2, 3, 8, 8]*");
        Refused(unet, zeros(1, 8, 8), t, null, "*xt*[*, 1, *, *]*[1, 8, 8]*");
        Refused(unet, zeros(0, 1, 8, 8), zeros([0], dtype: ScalarType.Int64), null, "*at least one sample*");
        Refused(unet, x.to(ScalarType.Float64), t, null, "*Float32*Float64*");
        Refused(unet, x, tensor(new long[] { 1 }), null, "*t must have shape [2]*[1]*");
        Refused(unet, x, tensor(5L), null, "*t must have shape [2]*[]*");
        Refused(unet, x, tensor(new[] { 1, 2 }), null, "*Int64 or floating point*Int32*");
        Refused(asymmetric, zeros(2, 1, 1, 8), t, null, "*at least 2 by 2*[2, 1, 1, 8]*");
    }

    [Fact]
    public void Labels_are_required_where_there_are_classes()
    {
        using var scope = NewDisposeScope();
        using var conditional = new UNet(Small with { Classes = 3 });
        var x = zeros(2, 1, 8, 8);
        var t = tensor(new long[] { 1, 2 });

        Refused(conditional, x, t, null, "*3 classes*none*");
        Refused(conditional, x, t, tensor(new long[] { 0 }), "*labels*[2]*[1]*");
        Refused(conditional, x, t, tensor(new[] { 0, 1 }), "*Int64*Int32*");
        Refused(conditional, x, t, tensor(new long[] { 0, 3 }), "*[0, 2]*3*");
        Refused(conditional, x, t, tensor(new long[] { -1, 0 }), "*[0, 2]*-1*");
        FluentActions.Invoking(() => conditional.Predict(x, t)).Should().Throw<ArgumentException>().WithMessage("*3 classes*none*");
    }

    [Fact]
    public void A_refused_call_leaves_no_tensors_behind()
    {
        using var unet = new UNet(Small with { Classes = 3 });
        using var x = zeros(2, 1, 8, 8);
        using var t = tensor(new long[] { 1, 2 });
        using var labels = tensor(new long[] { 0, 7 });

        LiveTensors.Change(() => Refused(unet, x, t, labels, "*7*")).Should().Be(0);
    }

    private static UNetLayout OfBlock(IUNetBlockOptions block) => Layout with
    {
        Levels = [new UNetLevel { Width = 8, Layers = 1, Down = block }, new UNetLevel { Width = 8, Layers = 1, Down = block }],
    };

    private static UNetLayout Added(SimpleCrossAttentionOptions attention) => OfBlock(new UNetBlockOptions { Attention = attention });

    private static UNetLayout Crossed(SpatialTransformerOptions attention) => OfBlock(new UNetBlockOptions { Attention = attention });

    private static void Refused(UNet unet, Tensor x, Tensor t, Tensor? labels, string message)
        => FluentActions.Invoking(() => unet.Answer(x, t, labels)).Should().Throw<ArgumentException>().WithMessage(message);
}
