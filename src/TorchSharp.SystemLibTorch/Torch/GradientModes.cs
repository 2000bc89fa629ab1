using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static IDisposable no_grad() => new GradientMode(false);

    public static IDisposable enable_grad(bool enabled = true) => new GradientMode(enabled);

    public static bool is_grad_enabled() => Native.sl_grad_mode() != 0;

    public static IDisposable inference_mode(bool mode = true) => new InferenceMode(mode);

    public static DisposeScope NewDisposeScope() => DisposeScopeManager.ThreadSingleton.NewDisposeScope();

    private sealed class GradientMode : IDisposable
    {
        private readonly int _before = Native.sl_grad_mode();

        internal GradientMode(bool enabled) => Native.sl_set_grad_mode(enabled ? 1 : 0);

        public void Dispose() => Native.sl_set_grad_mode(_before);
    }

    private sealed class InferenceMode(bool enabled) : IDisposable
    {
        private nint _guard = Native.sl_inference_enter(enabled ? 1 : 0);

        public void Dispose()
        {
            if (_guard != 0)
                Native.sl_inference_leave(_guard);
            _guard = 0;
        }
    }
}
