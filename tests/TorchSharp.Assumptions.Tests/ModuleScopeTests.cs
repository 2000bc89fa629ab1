using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>The scope that a module is constructed in, and the tensors of the module.</summary>
public class ModuleScopeTests
{
    [Fact]
    public void Parameters_and_tensors_in_fields_of_a_custom_module_are_freed_with_the_scope()
    {
        Net module;
        using (NewDisposeScope())
            module = new Net(detach: false);

        module.Gain.IsInvalid.Should().BeTrue();
        module.Table.IsInvalid.Should().BeTrue();
        module.Layer.weight.IsInvalid.Should().BeFalse("a layer of TorchSharp keeps its own parameters");
        module.named_parameters().Select(p => p.name).Should().Equal("layer.weight", "layer.bias");
        module.Dispose();
    }

    [Fact]
    public void Detached_from_the_scope_they_stay_until_the_module_is_disposed()
    {
        Net module;
        using (NewDisposeScope())
            module = new Net(detach: true);

        module.Gain.ShouldHold(1);
        module.Table.ShouldHold(2);
        module.Dispose();
        module.Gain.IsInvalid.Should().BeTrue();
        module.Table.IsInvalid.Should().BeTrue();
    }

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly Linear layer = nn.Linear(1, 1);
        private readonly Parameter gain = nn.Parameter(ones([1]));
        private readonly Tensor table = full([1], 2.0);

        public Net(bool detach)
            : base(nameof(Net))
        {
            if (detach)
            {
                gain.DetachFromDisposeScope();
                table.DetachFromDisposeScope();
            }

            RegisterComponents();
        }

        public Linear Layer => layer;

        public Parameter Gain => gain;

        public Tensor Table => table;

        public override Tensor forward(Tensor input) => layer.forward(input);
    }
}
