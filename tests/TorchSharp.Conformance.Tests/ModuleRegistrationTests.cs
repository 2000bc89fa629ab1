using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>How a module finds its children, parameters and buffers: by the names of its fields.</summary>
public partial class ModuleRegistrationTests
{
    [Fact]
    public void Fields_are_registered_under_their_names_in_the_order_of_declaration()
    {
        using var module = new Plain();

        module.named_children().Select(c => c.name).Should().Equal("second", "first", "_hidden");
        module.named_parameters(recurse: false).Select(p => p.name).Should().Equal("scale", "_shift");
        module.named_buffers(recurse: false).Select(b => b.name).Should().Equal("table");
    }

    [Fact]
    public void Parameters_are_listed_own_first_then_child_by_child()
    {
        using var module = new Plain();
        module.named_parameters().Select(p => p.name).Should().Equal(
            "scale", "_shift", "second.weight", "second.bias", "first.weight", "first.bias", "_hidden.weight");
        module.parameters().Select(p => p.numel()).Should().Equal(1, 2, 6, 2, 6, 3, 4);
    }

    [Fact]
    public void Null_fields_are_left_out_and_plain_values_too()
    {
        using var module = new Optional(with: false);
        module.named_children().Select(c => c.name).Should().Equal("always");
        using var full = new Optional(with: true);
        full.named_children().Select(c => c.name).Should().Equal("always", "sometimes");
        full.named_parameters().Select(p => p.name).Should().Equal("gain", "always.weight", "sometimes.weight");
    }

    [Fact]
    public void Nothing_is_registered_before_register_components()
    {
        using var module = new Unregistered();
        module.named_parameters().Should().BeEmpty();
        module.named_children().Should().BeEmpty();
    }

    [Fact]
    public void A_parent_registers_a_child_that_did_not_do_so_itself()
    {
        using var module = new Parent(new Unregistered());
        module.named_parameters().Select(p => p.name).Should().Equal("child.layer.weight", "child.layer.bias");
    }

    [Fact]
    public void A_field_set_after_registration_is_not_seen()
    {
        using var module = new Optional(with: false);
        module.SetLate();
        module.named_children().Select(c => c.name).Should().Equal("always");
    }

    [Fact]
    public void Fields_of_a_base_class_come_after_those_of_the_derived_one()
    {
        using var module = new Derived();
        module.named_children().Select(c => c.name).Should().Equal("own", "inherited");
    }

    [Fact]
    public void Names_can_be_given_by_hand()
    {
        using var module = new ByHand();

        module.named_parameters().Select(p => p.name).Should().Equal("alpha", "0.weight", "late.weight");
        module.named_buffers().Select(b => b.name).Should().Equal("mean");
        module.named_children().Select(c => c.name).Should().Equal("0", "late");
    }

    [Fact]
    public void A_name_is_taken_once_and_has_no_dot()
    {
        using var module = new ByHand();
        using var other = nn.Linear(2, 2);
        using var tensor = zeros([1]);
        using var parameter = nn.Parameter(zeros([1]));

        ((Action)(() => module.register_module("0", other))).Should().Throw<InvalidOperationException>();
        ((Action)(() => module.register_module("a.b", other))).Should().Throw<ArgumentException>();
        ((Action)(() => module.register_module("", other))).Should().Throw<ArgumentException>();
        ((Action)(() => module.register_buffer("mean", tensor))).Should().Throw<InvalidOperationException>();
        ((Action)(() => module.register_parameter("alpha", parameter))).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void A_shared_child_is_listed_once_as_parameters_and_twice_as_child()
    {
        using var module = new Shared();
        module.named_parameters().Select(p => p.name).Should().Equal("one.weight");
        module.named_children().Select(c => c.name).Should().Equal("one", "two");
        module.state_dict().Keys.Should().BeEquivalentTo("one.weight", "two.weight");
    }

    [Fact]
    public void Modules_are_listed_level_by_level_without_the_module_itself()
    {
        using var module = new Parent(new Plain());
        module.named_modules().Select(m => m.name).Should().Equal("child", "child.second", "child.first", "child._hidden");
        module.modules().Should().HaveCount(4);
        module.children().Should().HaveCount(1);
    }

    [Fact]
    public void Parts_are_found_by_path()
    {
        using var module = new Parent(new Plain());
        module.get_parameter("child.first.weight")!.shape.Should().Equal(3, 2);
        module.get_parameter("child.nothing").Should().BeNull();
        module.get_buffer("child.table")!.shape.Should().Equal(4);
    }

    [Fact]
    public void A_module_has_the_name_it_was_given()
    {
        using var module = new Plain();
        module.GetName().Should().Be("Plain");
    }

    [Fact]
    public void A_field_of_the_type_of_a_tensor_is_a_buffer_and_of_a_parameter_a_parameter()
    {
        using var module = new Plain();
        module.buffers().Single().Should().BeSameAs(module.Table);
        module.parameters().First().Should().BeSameAs(module.Scale);
        module.Scale.requires_grad.Should().BeTrue();
        module.Table.requires_grad.Should().BeFalse();
    }
}
