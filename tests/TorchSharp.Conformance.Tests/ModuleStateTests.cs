using System.Runtime.InteropServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>State dictionaries, modes and calls.</summary>
public class ModuleStateTests
{
    [Fact]
    public void A_state_dictionary_lists_all_parameters_then_the_buffers()
    {
        using var module = new Net();
        module.state_dict().Keys.Should().Equal("norm.weight", "norm.bias", "layer.weight", "layer.bias", "steps");
    }

    [Fact]
    public void A_state_dictionary_holds_the_very_tensors()
    {
        using var module = new Net();
        var live = 0L;
        live = Values.LiveTensors(() => _ = module.state_dict());
        live.Should().Be(0);
        module.state_dict()["layer.weight"].Should().BeSameAs(module.Layer.weight);
        module.state_dict()["steps"].Should().BeSameAs(module.Steps);
    }

    [Fact]
    public void Loading_copies_values_into_the_same_tensors()
    {
        using var scope = NewDisposeScope();
        using var source = new Net();
        using var target = new Net();
        var weight = target.Layer.weight;

        var (missing, unexpected) = target.load_state_dict(source.state_dict());

        missing.Should().BeEmpty();
        unexpected.Should().BeEmpty();
        target.Layer.weight.Should().BeSameAs(weight);
        Values.Of(target.Layer.weight).Should().Equal(Values.Of(source.Layer.weight));
        target.Layer.weight.requires_grad.Should().BeTrue();
        using (no_grad())
            source.Layer.weight.fill_(0);
        Values.Of(target.Layer.weight).Should().NotEqual(Values.Of(source.Layer.weight));
    }

    [Fact]
    public void A_strict_load_refuses_missing_and_unexpected_keys()
    {
        using var scope = NewDisposeScope();
        using var module = new Net();
        var state = module.state_dict();
        var less = new Dictionary<string, Tensor>(state);
        less.Remove("steps");
        var more = new Dictionary<string, Tensor>(state) { ["other"] = zeros([1]) };

        ((Action)(() => module.load_state_dict(less))).Should().Throw<InvalidOperationException>();
        ((Action)(() => module.load_state_dict(more))).Should().Throw<InvalidOperationException>();

        module.load_state_dict(less, strict: false).missing_keys.Should().Equal("steps");
        module.load_state_dict(more, strict: false).unexpected_keyes.Should().Equal("other");
    }

    [Fact]
    public void A_load_of_another_shape_is_a_native_error()
    {
        using var scope = NewDisposeScope();
        using var module = new Net();
        var state = new Dictionary<string, Tensor>(module.state_dict()) { ["layer.bias"] = zeros([5]) };
        ((Action)(() => module.load_state_dict(state))).Should().Throw<ExternalException>();
    }

    [Fact]
    public void A_load_converts_types()
    {
        using var scope = NewDisposeScope();
        using var module = new Net();
        var state = new Dictionary<string, Tensor>(module.state_dict()) { ["layer.bias"] = Values.Double([2], 0.5, 1.5) };
        module.load_state_dict(state);
        module.Layer.bias!.dtype.Should().Be(ScalarType.Float32);
        module.Layer.bias!.ShouldHold(0.5, 1.5);
    }

    [Fact]
    public void Modes_reach_every_child()
    {
        using var module = new Net();
        module.training.Should().BeTrue();
        module.eval();
        module.training.Should().BeFalse();
        module.named_modules().Should().OnlyContain(m => !m.module.training);
        module.train();
        module.named_modules().Should().OnlyContain(m => m.module.training);
        module.train(false);
        module.training.Should().BeFalse();
    }

    [Fact]
    public void Call_and_forward_give_the_same()
    {
        using var scope = NewDisposeScope();
        using var module = new Net();
        module.eval();
        var x = randn([1, 4, 2, 2]);
        Values.Of(module.call(x)).Should().Equal(Values.Of(module.forward(x)));
    }

    [Fact]
    public void Apply_visits_children_before_their_parent()
    {
        using var module = new Net();
        var seen = new List<string>();
        module.apply(m => seen.Add(m.GetName())).Should().BeSameAs(module);
        seen.Should().Equal("GroupNorm", "Dropout", "Linear", "Net");
    }

    [Fact]
    public void Zero_grad_takes_the_gradients_away()
    {
        using var scope = NewDisposeScope();
        using var module = nn.Linear(2, 1);
        module.forward(ones([1, 2])).sum().backward();
        module.weight.grad!.ShouldHold(1, 1);
        module.zero_grad();
        module.weight.grad.Should().BeNull();
    }

    [Fact]
    public void Zero_grad_can_keep_the_gradients_as_zeros()
    {
        using var scope = NewDisposeScope();
        using var module = nn.Linear(2, 1);
        module.forward(ones([1, 2])).sum().backward();
        module.zero_grad(set_to_none: false);
        module.weight.grad!.ShouldHold(0, 0);
    }

    [Fact]
    public void A_frozen_parameter_gets_no_gradient()
    {
        using var scope = NewDisposeScope();
        using var module = nn.Linear(2, 1);
        module.weight.requires_grad = false;
        module.forward(ones([1, 2])).sum().backward();
        module.weight.grad.Should().BeNull();
        module.bias!.grad!.ShouldHold(1);
    }

    internal sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly GroupNorm norm = nn.GroupNorm(2, 4);
        private readonly Dropout dropout = nn.Dropout(0.1);
        private readonly Linear layer = nn.Linear(4, 2);
        private readonly Tensor steps = zeros([1], ScalarType.Int64);

        public Net()
            : base(nameof(Net))
        {
            using (no_grad())
            {
                norm.weight.fill_(1);
                norm.bias!.fill_(0);
            }

            RegisterComponents();
        }

        public Linear Layer => layer;

        public Tensor Steps => steps;

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            return layer.forward(dropout.forward(norm.forward(input)).mean([2L, 3L])).MoveToOuterDisposeScope();
        }
    }
}
