using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static unsafe partial class autograd
    {
        /// <summary>What a function keeps from its forward pass for its backward pass.</summary>
        public class AutogradContext : IDisposable
        {
            private readonly Dictionary<string, object> _data = new(StringComparer.Ordinal);
            private readonly List<nint> _saved = [];
            private List<Tensor> _toSave = [];

            internal AutogradContext()
            {
            }

            public bool MaterializeGrads { get; private set; } = true;

            /// <summary>The native node, once there is one.</summary>
            internal nint Node { get; set; }

            public void set_materialize_grads(bool value) => MaterializeGrads = value;

            public void save_for_backward(List<Tensor> tensors) => _toSave = tensors;

            public void save_data(string key, object value) => _data[key] = value;

            public object? get_data(string key) => _data.TryGetValue(key, out var value) ? value : null;

            public List<Tensor> get_saved_variables() => [.. _saved.Select(Unpack)];

            public void Dispose()
            {
                Dispose(true);
                GC.SuppressFinalize(this);
            }

            /// <summary>Hands what was named over to the graph.</summary>
            internal void Save()
            {
                foreach (var tensor in _toSave)
                {
                    nint saved = 0;
                    if (tensor is { IsInvalid: false })
                        Native.Check(Native.sl_saved_new(tensor.Handle, Node, &saved));
                    GC.KeepAlive(tensor);
                    _saved.Add(saved);
                }

                _toSave = [];
            }

            protected virtual void Dispose(bool disposing)
            {
                foreach (var saved in _saved)
                {
                    if (saved != 0)
                        Native.sl_saved_free(saved);
                }

                _saved.Clear();
            }

            private Tensor Unpack(nint saved)
            {
                if (saved == 0)
                    return null!;
                nint tensor;
                Native.Check(Native.sl_saved_unpack(saved, Node, &tensor));
                return new Tensor(tensor);
            }
        }
    }
}
