using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>A tensor of libtorch. Owns one reference to it.</summary>
    public partial class Tensor : IDisposable
    {
        internal nint handle;

        private static long s_totalCount;
        private static long s_peakCount;

        internal Tensor(nint handle, bool register = true)
        {
            this.handle = handle;
            s_peakCount = Math.Max(Interlocked.Increment(ref s_totalCount), s_peakCount);
            if (register)
                OwningDisposeScope = DisposeScopeManager.ThreadSingleton.RegisterOnCurrentDisposeScope(this);
        }

        ~Tensor() => Dispose(false);

        public static long TotalCount => s_totalCount;

        public bool IsInvalid => handle == 0;

        internal nint Handle => handle != 0 ? handle : throw new InvalidOperationException("Tensor invalid -- empty handle.");

        internal DisposeScope? OwningDisposeScope { get; set; }

        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        public Tensor MoveToOuterDisposeScope()
        {
            OwningDisposeScope?.MoveToOuter(this);
            return this;
        }

        public Tensor DetachFromDisposeScope()
        {
            OwningDisposeScope?.Detach(this);
            return this;
        }

        public Tensor alias()
        {
            var copy = new Tensor(Native.sl_alias(Handle));
            GC.KeepAlive(this);
            return copy;
        }

        /// <summary>Gives the reference away, as a new <see cref="Modules.Parameter"/> asks for.</summary>
        internal nint MoveHandle()
        {
            var moved = handle;
            handle = 0;
            return moved;
        }

        protected virtual void Dispose(bool disposing)
        {
            if (handle == 0)
                return;
            DisposeScopeManager.ThreadSingleton.CountDisposal(this);
            OwningDisposeScope?.Remove(this);
            Interlocked.Decrement(ref s_totalCount);
            Native.sl_release(handle);
            handle = 0;
        }
    }
}
