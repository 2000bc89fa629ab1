using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Moving a module to another type or device replaces its tensors; whoever holds the old ones holds nothing.</summary>
public class ModuleConversionTests
{
    [Fact]
    public void Another_type_replaces_the_parameters_and_frees_the_old_ones()
    {
        using var module = new Net();
        var weight = module.Layer.weight;
        var gain = module.Gain;

        module.to(ScalarType.Float64).Should().BeSameAs(module);

        weight.IsInvalid.Should().BeTrue();
        gain.IsInvalid.Should().BeTrue();
        module.Layer.weight.Should().NotBeSameAs(weight);
        module.parameters().Should().OnlyContain(p => p.dtype == ScalarType.Float64 && p.requires_grad && p.is_leaf);
        module.Gain.Should().BeSameAs(module.named_parameters(recurse: false).Single().parameter);
        module.Gain.ShouldHold(2);
        module.state_dict()["layer.weight"].Should().BeSameAs(module.Layer.weight);
    }

    [Fact]
    public void Values_and_order_survive()
    {
        using var module = new Net();
        var names = module.named_parameters().Select(p => p.name).ToArray();
        var weight = Values.Of(module.Layer.weight);

        module.to(ScalarType.Float64);

        module.named_parameters().Select(p => p.name).Should().Equal(names);
        Values.Of(module.Layer.weight).Should().Equal(weight);
    }

    [Fact]
    public void The_type_and_device_it_has_already_leave_parameters_and_floating_point_buffers_in_place()
    {
        using var module = new Net();
        var (weight, gain, mean, count) = (module.Layer.weight, module.Gain, module.Mean, module.Count);

        module.to(ScalarType.Float32).to(CPU);

        module.Layer.weight.Should().BeSameAs(weight);
        module.Gain.Should().BeSameAs(gain);
        module.Mean.Should().BeSameAs(mean);
        weight.IsInvalid.Should().BeFalse();
        count.IsInvalid.Should().BeTrue("a buffer of integers is replaced by every conversion of type");
        module.Count.ShouldHold(5);
    }

    [Fact]
    public void Buffers_of_floating_point_are_converted_and_integers_keep_their_type_in_a_new_object()
    {
        using var module = new Net();
        var (mean, count) = (module.Mean, module.Count);

        module.to(ScalarType.Float64);

        module.Mean.dtype.Should().Be(ScalarType.Float64);
        module.Count.dtype.Should().Be(ScalarType.Int64);
        module.Count.ShouldHold(5);
        mean.IsInvalid.Should().BeTrue();
        count.IsInvalid.Should().BeTrue();
        module.get_buffer("mean").Should().BeSameAs(module.Mean);
        module.get_buffer("count").Should().BeSameAs(module.Count);
    }

    [Fact]
    public void Gradients_and_frozen_parameters_are_carried_over()
    {
        using var scope = NewDisposeScope();
        using var module = new Net();
        module.Layer.bias!.requires_grad = false;
        module.forward(ones([1, 2])).sum().backward();

        module.to(ScalarType.Float64);

        module.Layer.bias!.requires_grad.Should().BeFalse();
        module.Layer.bias!.grad.Should().BeNull();
        module.Layer.weight.grad!.dtype.Should().Be(ScalarType.Float64);
        module.Layer.weight.grad!.ShouldHold(2, 2);
        module.Gain.grad.Should().NotBeNull();
    }

    [Fact]
    public void Layers_and_their_children_convert()
    {
        using var module = nn.Sequential(("conv", nn.Conv2d(1, 2, 3)), ("norm", nn.GroupNorm(1, 2)), ("act", nn.SiLU()));
        module.to(ScalarType.Float64);
        module.parameters().Should().OnlyContain(p => p.dtype == ScalarType.Float64);
    }

    [Fact]
    public void Only_floating_point_types_are_taken()
    {
        using var module = nn.Linear(1, 1);
        using var net = new Net();
        ((Action)(() => net.to(ScalarType.Int64))).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_module_that_is_moved_forgets_the_flat_tensor_its_parameters_were_views_of()
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
    public void Conversion_leaves_no_tensor_behind()
    {
        var statistics = DisposeScopeManager.Statistics;
        var live = statistics.ThreadTotalLiveCount;
        using (var module = new Net())
        {
            var made = statistics.ThreadTotalLiveCount - live;
            module.to(ScalarType.Float64);
            (statistics.ThreadTotalLiveCount - live).Should().Be(made);
        }

        statistics.ThreadTotalLiveCount.Should().Be(live);
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

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            return layer.forward(input.mul(mean)).mul(gain).MoveToOuterDisposeScope();
        }
    }
}
