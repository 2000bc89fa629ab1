using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static Generator manual_seed(long seed) => random.manual_seed(seed);

    public static unsafe class random
    {
        public static Generator manual_seed(long seed)
        {
            Native.Check(Native.sl_manual_seed((ulong)seed));
            return Generator.Default;
        }
    }

    /// <summary>A source of pseudo-random numbers on one device.</summary>
    public unsafe class Generator : IDisposable
    {
        public Generator(ulong seed = 0, Device? device = null)
        {
            this.device = device ?? CPU;
            nint made;
            Native.Check(Native.sl_generator_new((int)this.device.type, this.device.index, seed, &made));
            Handle = made;
        }

        private Generator(nint handle) => (Handle, device) = (handle, CPU);

        ~Generator() => Dispose(false);

        public static Generator Default
        {
            get
            {
                nint made;
                Native.Check(Native.sl_generator_default(&made));
                return new Generator(made);
            }
        }

        internal nint Handle { get; private set; }

        public Device device { get; }

        public Tensor get_state()
        {
            nint state;
            Native.Check(Native.sl_generator_get_state(Handle, &state));
            GC.KeepAlive(this);
            return new Tensor(state);
        }

        public void set_state(Tensor value)
        {
            Native.Check(Native.sl_generator_set_state(Handle, value.Handle));
            GC.KeepAlive(this);
            GC.KeepAlive(value);
        }

        public Generator manual_seed(long seed)
        {
            Native.Check(Native.sl_generator_seed(Handle, (ulong)seed));
            GC.KeepAlive(this);
            return this;
        }

        public long initial_seed()
        {
            var seed = (long)Native.sl_generator_initial_seed(Handle);
            GC.KeepAlive(this);
            return seed;
        }

        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        protected virtual void Dispose(bool disposing)
        {
            if (Handle == 0)
                return;
            Native.sl_generator_free(Handle);
            Handle = 0;
        }
    }
}
