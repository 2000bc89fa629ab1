using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>ModuleList and Sequential.</summary>
public class ModuleContainerTests
{
    [Fact]
    public void A_list_names_its_modules_by_number()
    {
        using var module = new WithList();
        module.named_parameters().Select(p => p.name).Should().Equal("blocks.0.weight", "blocks.1.weight", "blocks.2.weight");
        module.Blocks.Count.Should().Be(3);
        module.Blocks[1].weight.shape.Should().Equal(2, 2);
        module.Blocks.Select(b => b.weight.shape[0]).Should().Equal(1, 2, 3);
    }

    [Fact]
    public void A_list_holds_modules_of_any_type_and_registers_when_its_parent_does()
    {
        using var list = nn.ModuleList<nn.Module<Tensor, Tensor>>(nn.Linear(1, 1), nn.SiLU());
        list.Add(nn.Linear(1, 1, hasBias: false));
        list.Should().HaveCount(3);
        list.named_parameters().Should().BeEmpty();
        using var parent = new Holder(list);
        parent.named_parameters().Select(p => p.name).Should().Equal("held.0.weight", "held.0.bias", "held.2.weight");
    }

    [Fact]
    public void A_sequence_calls_its_modules_in_turn()
    {
        using var scope = NewDisposeScope();
        var first = nn.Linear(2, 3);
        var last = nn.Linear(3, 1);
        using var sequence = nn.Sequential(first, nn.SiLU(), last);
        var x = Values.Float([1, 2], 1, 2);

        var expected = last.forward(first.forward(x).silu());

        Values.Of(sequence.forward(x)).Should().Equal(Values.Of(expected));
        sequence.named_parameters().Select(p => p.name).Should().Equal("0.weight", "0.bias", "2.weight", "2.bias");
        sequence.named_children().Select(c => c.name).Should().Equal("0", "1", "2");
    }

    [Fact]
    public void A_sequence_takes_names()
    {
        using var sequence = nn.Sequential(("up", nn.Linear(1, 2, hasBias: false)), ("down", nn.Linear(2, 1, hasBias: false)));
        using var parent = new Holder(sequence);
        parent.named_parameters().Select(p => p.name).Should().Equal("held.up.weight", "held.down.weight");
        parent.state_dict().Keys.Should().Equal("held.up.weight", "held.down.weight");
    }

    [Fact]
    public void A_sequence_frees_what_is_between_its_modules()
    {
        using var sequence = nn.Sequential(nn.SiLU(), nn.SiLU(), nn.SiLU(), nn.SiLU());
        using var x = ones([3]);
        Values.LiveTensors(() => sequence.forward(x).Dispose()).Should().Be(0);
        x.IsInvalid.Should().BeFalse();
    }

    [Fact]
    public void Modes_reach_into_containers()
    {
        using var module = new WithList();
        module.eval();
        module.Blocks.Should().OnlyContain(b => !b.training);
        module.train();
        module.Blocks.Should().OnlyContain(b => b.training);
    }

    private sealed class WithList : nn.Module<Tensor, Tensor>
    {
        private readonly ModuleList<Linear> blocks = nn.ModuleList<Linear>();

        public WithList()
            : base(nameof(WithList))
        {
            for (var i = 1; i <= 3; i++)
                blocks.Add(nn.Linear(i, i, hasBias: false));
            RegisterComponents();
        }

        public ModuleList<Linear> Blocks => blocks;

        public override Tensor forward(Tensor input) => blocks[0].forward(input);
    }

    private sealed class Holder : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module held;

        public Holder(nn.Module held)
            : base(nameof(Holder))
        {
            this.held = held;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => ((nn.Module<Tensor, Tensor>)held).forward(input);
    }
}
