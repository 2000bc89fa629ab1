using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>What <c>Module.to</c> replaces.</summary>
public class ModuleConversionTests
{
    [Fact]
    public void Another_type_replaces_the_parameters_and_frees_the_old_ones()
    {
        using var module = new Net();
        var (weight, gain) = (module.Layer.weight, module.Gain);

        module.to(ScalarType.Float64).Should().BeSameAs(module);

        weight.IsInvalid.Should().BeTrue();
        gain.IsInvalid.Should().BeTrue();
        module.Gain.Should().NotBeSameAs(gain).And.BeSameAs(module.named_parameters(recurse: false).Single().parameter);
        module.parameters().Should().OnlyContain(p => p.dtype == ScalarType.Float64 && p.requires_grad && p.is_leaf);
    }

    [Fact]
    public void The_same_type_replaces_only_the_buffers_of_integers()
    {
        using var module = new Net();
        var (weight, gain, mean, count) = (module.Layer.weight, module.Gain, module.Mean, module.Count);

        module.to(ScalarType.Float32);

        module.Layer.weight.Should().BeSameAs(weight);
        module.Gain.Should().BeSameAs(gain);
        module.Mean.Should().BeSameAs(mean);
        count.IsInvalid.Should().BeTrue();
        module.Count.dtype.Should().Be(ScalarType.Int64);
        module.Count.ShouldHold(5);
    }

    [Fact]
    public void A_converted_parameter_is_no_view_of_the_flat_tensor_any_more()
    {
        using var scope = NewDisposeScope();
        using var module = nn.Linear(2, 1, hasBias: false);
        var flat = zeros([2]);
        using (no_grad())
            module.weight.set_(flat.view(1, 2));

        module.to(ScalarType.Float64);
        flat.fill_(1);

        module.weight.ShouldHold(0, 0);
    }

    [Fact]
    public void A_conversion_reaches_the_modules_within_and_rounds_what_is_converted_back()
    {
        using var module = new Net();
        using (no_grad())
            module.Layer.weight.fill_(0.1);
        var before = Values.Of(module.Layer.weight);

        module.to(ScalarType.BFloat16);
        module.Layer.weight.dtype.Should().Be(ScalarType.BFloat16);
        module.Layer.to(ScalarType.Float32);

        module.Layer.weight.dtype.Should().Be(ScalarType.Float32);
        module.Gain.dtype.Should().Be(ScalarType.BFloat16);
        Values.Of(module.Layer.weight).Should().NotEqual(before);
    }

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly Linear layer = nn.Linear(2, 1);
        private readonly Parameter gain = nn.Parameter(full([1], 2.0));
        private readonly Tensor mean = ones([2]);
        private readonly Tensor count = full([1], 5, dtype: ScalarType.Int64);

        public Net()
            : base(nameof(Net))
            => RegisterComponents();

        public Linear Layer => layer;

        public Parameter Gain => gain;

        public Tensor Mean => mean;

        public Tensor Count => count;

        public override Tensor forward(Tensor input) => layer.forward(input);
    }
}
