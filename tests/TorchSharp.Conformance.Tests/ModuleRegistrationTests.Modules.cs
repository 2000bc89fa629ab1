using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>The modules that are registered.</summary>
public partial class ModuleRegistrationTests
{
    private sealed class Plain : nn.Module<Tensor, Tensor>
    {
        private readonly Linear second = nn.Linear(3, 2);
        private readonly Linear first = nn.Linear(2, 3);
        private readonly Parameter scale = nn.Parameter(ones([1]));
        private readonly Tensor table = arange(4);
        private readonly Linear _hidden = nn.Linear(2, 2, hasBias: false);
        private readonly Parameter _shift = nn.Parameter(zeros([2]));
        private readonly int count = 3;

        public Plain()
            : base(nameof(Plain))
            => RegisterComponents();

        public Parameter Scale => scale;

        public Tensor Table => table;

        public override Tensor forward(Tensor input)
            => _hidden.forward(second.forward(first.forward(input))).mul(scale).add(_shift).mul(count);
    }

    private sealed class Optional : nn.Module<Tensor, Tensor>
    {
        private readonly Linear always = nn.Linear(1, 1, hasBias: false);
        private readonly Linear? sometimes;
        private readonly Parameter? gain;
        private Linear? late;

        public Optional(bool with)
            : base(nameof(Optional))
        {
            if (with)
                (sometimes, gain) = (nn.Linear(1, 1, hasBias: false), nn.Parameter(ones([1])));
            RegisterComponents();
        }

        public void SetLate() => late = nn.Linear(1, 1);

        public override Tensor forward(Tensor input)
            => gain is null ? always.forward(input) : (late ?? sometimes!).forward(input).mul(gain);

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                late?.Dispose();
            base.Dispose(disposing);
        }
    }

    private sealed class Unregistered() : nn.Module<Tensor, Tensor>(nameof(Unregistered))
    {
        private readonly Linear layer = nn.Linear(1, 1);

        public override Tensor forward(Tensor input) => layer.forward(input);

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                layer.Dispose();
            base.Dispose(disposing);
        }
    }

    private sealed class Parent : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> child;

        public Parent(nn.Module<Tensor, Tensor> child)
            : base(nameof(Parent))
        {
            this.child = child;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => child.forward(input);
    }

    private abstract class Base : nn.Module<Tensor, Tensor>
    {
        protected Base()
            : base(nameof(Base))
        {
        }

        protected readonly Linear inherited = nn.Linear(1, 1);
    }

    private sealed class Derived : Base
    {
        private readonly Linear own = nn.Linear(1, 1);

        public Derived() => RegisterComponents();

        public override Tensor forward(Tensor input) => own.forward(inherited.forward(input));
    }

    private sealed class ByHand : nn.Module<Tensor, Tensor>
    {
        public ByHand()
            : base(nameof(ByHand))
        {
            register_parameter("alpha", nn.Parameter(ones([1])));
            register_buffer("mean", zeros([2]));
            register_module("0", nn.Linear(1, 1, hasBias: false));
            RegisterComponents();
            register_module("late", nn.Linear(1, 1, hasBias: false));
        }

        public override Tensor forward(Tensor input) => input.mul(1);
    }

    private sealed class Shared : nn.Module<Tensor, Tensor>
    {
        private readonly Linear one = nn.Linear(1, 1, hasBias: false);
        private readonly Linear two;

        public Shared()
            : base(nameof(Shared))
        {
            two = one;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => two.forward(one.forward(input));
    }
}
