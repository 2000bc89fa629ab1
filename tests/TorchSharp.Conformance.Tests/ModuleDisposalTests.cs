using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Who frees the tensors of a module.</summary>
public class ModuleDisposalTests
{
    public static TheoryData<string> Kinds => ["Net", "Linear", "Conv2d", "GroupNorm", "Dropout", "SiLU"];

    private static nn.Module Make(string kind) => kind switch
    {
        "Net" => new Net(),
        "Linear" => nn.Linear(2, 3),
        "Conv2d" => nn.Conv2d(1, 2, 3),
        "GroupNorm" => nn.GroupNorm(1, 2),
        "Dropout" => nn.Dropout(0.1),
        _ => nn.SiLU(),
    };

    [Fact]
    public void Disposing_a_module_frees_its_parameters_buffers_and_children()
    {
        var module = new Net();
        var tensors = module.state_dict().Values.ToArray();
        tensors.Should().HaveCount(6).And.OnlyContain(t => !t.IsInvalid);

        module.Dispose();

        tensors.Should().OnlyContain(t => t.IsInvalid);
        module.Dispose();
    }

    [Fact]
    public void Disposing_a_sequence_frees_what_is_in_it()
    {
        var sequence = nn.Sequential(nn.Linear(1, 1), nn.SiLU());
        var weights = sequence.parameters().ToArray();
        sequence.Dispose();
        weights.Should().HaveCount(2).And.OnlyContain(t => t.IsInvalid);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Modules_come_and_go_without_a_trace(string kind)
    {
        var statistics = DisposeScopeManager.Statistics;
        var live = statistics.ThreadTotalLiveCount;

        // The scope matters: the constructor of a convolution leaves a temporary tensor to whoever is around.
        using (NewDisposeScope())
            Make(kind).Dispose();
        statistics.ThreadTotalLiveCount.Should().Be(live);
    }

    [Fact]
    public void The_parameters_of_a_layer_outlive_the_scope_they_were_made_in()
    {
        Linear linear;
        Conv2d conv;
        GroupNorm norm;
        using (NewDisposeScope())
            (linear, conv, norm) = (nn.Linear(1, 1), nn.Conv2d(1, 1, 1), nn.GroupNorm(1, 1));

        foreach (var module in new nn.Module[] { linear, conv, norm })
        {
            module.parameters().Should().HaveCount(2).And.OnlyContain(p => !p.IsInvalid);
            module.Dispose();
        }
    }

    [Fact]
    public void The_fields_of_a_module_of_ones_own_do_not()
    {
        Net module;
        using (NewDisposeScope())
            module = new Net();

        module.Gain.IsInvalid.Should().BeTrue();
        module.Table.IsInvalid.Should().BeTrue();
        module.Layer.weight.IsInvalid.Should().BeFalse();
        module.named_parameters().Select(p => p.name).Should().Equal("layer.weight", "layer.bias", "list.0.weight", "list.0.bias");
        module.Dispose();
    }

    [Fact]
    public void A_parameter_takes_the_place_of_its_tensor_in_the_scope()
    {
        Parameter parameter;
        using (var scope = NewDisposeScope())
        {
            var tensor = zeros([2]);
            parameter = new Parameter(tensor);
            tensor.IsInvalid.Should().BeTrue();
            scope.DisposablesCount.Should().Be(1);
        }

        parameter.IsInvalid.Should().BeTrue();
    }

    [Fact]
    public void A_parameter_needs_gradients_unless_said_otherwise()
    {
        using var parameter = nn.Parameter(zeros([2]));
        using var frozen = nn.Parameter(zeros([2]), requires_grad: false);
        parameter.requires_grad.Should().BeTrue();
        parameter.is_leaf.Should().BeTrue();
        parameter.Should().BeAssignableTo<Tensor>();
        frozen.requires_grad.Should().BeFalse();
    }

    [Fact]
    public void A_disposed_module_refuses_to_be_called()
    {
        using var x = ones([1, 1]);
        var layer = nn.Linear(1, 1);
        layer.Dispose();
        ((Action)(() => layer.forward(x))).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void A_derived_dispose_is_called_for_a_child()
    {
        var child = new Counting();
        var parent = new Holder(child);
        parent.Dispose();
        child.Disposals.Should().BePositive();
    }

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly Linear layer = nn.Linear(1, 1);
        private readonly ModuleList<Linear> list = nn.ModuleList(nn.Linear(1, 1));
        private readonly Parameter gain = nn.Parameter(ones([1]));
        private readonly Tensor table = ones([1]);

        public Net()
            : base(nameof(Net))
            => RegisterComponents();

        public Linear Layer => layer;

        public Parameter Gain => gain;

        public Tensor Table => table;

        public override Tensor forward(Tensor input) => list[0].forward(layer.forward(input)).mul(gain).mul(table);
    }

    private sealed class Counting() : nn.Module<Tensor, Tensor>(nameof(Counting))
    {
        public int Disposals { get; private set; }

        public override Tensor forward(Tensor input) => input.mul(1);

        protected override void Dispose(bool disposing)
        {
            Disposals++;
            base.Dispose(disposing);
        }
    }

    private sealed class Holder : nn.Module<Tensor, Tensor>
    {
        private readonly Counting held;

        public Holder(Counting held)
            : base(nameof(Holder))
        {
            this.held = held;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => held.forward(input);
    }
}
