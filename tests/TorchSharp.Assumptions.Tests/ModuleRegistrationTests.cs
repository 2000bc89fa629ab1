using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>A module whose parts are registered by name, in another one.</summary>
public class ModuleRegistrationTests
{
    [Fact]
    public void A_parent_registers_the_private_fields_of_its_child_once_more_under_their_own_names()
    {
        using var child = new ByName();
        child.named_children().Select(c => c.name).Should().Equal("0");

        using var parent = new Parent(child);

        parent.named_modules().Select(m => m.name).Should().Equal("block", "block.0", "block._layer");
        parent.state_dict().Keys.Should().Equal("block.0.weight", "block._layer.weight");
    }

    [Fact]
    public void A_child_that_overrides_RegisterComponents_keeps_its_names()
    {
        using var parent = new Parent(new ByNameOnly());

        parent.named_modules().Select(m => m.name).Should().Equal("block", "block.0");
        parent.state_dict().Keys.Should().Equal("block.0.weight");
    }

    private class ByName : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _layer = nn.Linear(1, 1, hasBias: false);

        public ByName()
            : base(nameof(ByName))
            => register_module("0", _layer);

        public override Tensor forward(Tensor input) => _layer.forward(input);
    }

    private sealed class ByNameOnly : ByName
    {
        protected override void RegisterComponents()
        {
        }
    }

    private sealed class Parent : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _block;

        public Parent(nn.Module<Tensor, Tensor> block)
            : base(nameof(Parent))
        {
            _block = block;
            register_module("block", block);
        }

        public override Tensor forward(Tensor input) => _block.forward(input);
    }
}
