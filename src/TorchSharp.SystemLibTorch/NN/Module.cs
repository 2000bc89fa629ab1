using System.Reflection;
using TorchSharp.Interop;
using TorchSharp.Modules;
using TorchSharp.Utils;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static Parameter Parameter(Tensor data, bool requires_grad = true) => new(data, requires_grad);

        /// <summary>A tree of modules with parameters and buffers, found in its fields when it is registered.</summary>
        public partial class Module : IDisposable
        {
            private readonly string? _name;
            private readonly OrderedMap<Module> _submodules = new();
            private readonly OrderedMap<(Tensor Tensor, bool Persistent)> _buffers = new();
            private readonly OrderedMap<Parameter> _parameters = new();
            private bool _registered;
            private bool _disposed;
            private bool _training = true;

            protected Module(string name) => _name = name;

            public virtual bool training => _training;

            public void Dispose()
            {
                Dispose(true);
                GC.SuppressFinalize(this);
            }

            public virtual void train(bool train = true)
            {
                _training = train;
                foreach (var (_, child) in named_children())
                    child.train(train);
            }

            public virtual void eval() => train(false);

            public virtual string GetName() => string.IsNullOrEmpty(_name) ? GetType().Name : _name;

            public virtual Module apply(Action<Module> fn)
            {
                foreach (var (_, child) in _submodules.Items)
                    child.apply(fn);
                fn(this);
                return this;
            }

            public virtual void register_buffer(string name, Tensor tensor, bool persistent = true)
            {
                if (tensor is null || tensor.IsInvalid)
                    throw new ArgumentNullException(nameof(tensor), "A null tensor cannot be registered as a buffer.");
                if (!_buffers.TryAdd(name, (tensor, persistent)))
                    throw new InvalidOperationException($"Tensor {name} is already registered.");
            }

            public virtual void register_parameter(string name, Parameter param)
            {
                if (param is null || param.IsInvalid)
                    throw new ArgumentNullException(nameof(param), "A null tensor cannot be registered as a parameter.");
                if (!_parameters.TryAdd(name, param))
                    throw new InvalidOperationException($"Parameter {name} is already registered.");
            }

            public virtual void register_module(string name, Module submodule)
            {
                if (submodule is null || submodule._disposed)
                {
                    _submodules.Remove(name);
                    return;
                }

                if (name.Contains('.', StringComparison.Ordinal))
                    throw new ArgumentException($"module name can't contain \".\", got: {name}");
                if (string.IsNullOrEmpty(name))
                    throw new ArgumentException("module name can't be empty string \"\"");
                if (_submodules.Contains(name))
                    throw new InvalidOperationException($"Sub-module {name} is already registered.");
                submodule.RegisterComponents();
                _submodules.Set(name, submodule);
            }

            /// <summary>Registers what the fields hold, in the order of the fields, from the most derived class to the base.</summary>
            protected virtual void RegisterComponents()
            {
                if (_registered)
                    return;
                foreach (var field in Fields())
                {
                    var component = NameOf(field);
                    if (_submodules.Contains(component) || _parameters.Contains(component) || _buffers.Contains(component))
                        continue;
                    switch (field.GetValue(this))
                    {
                        case Module module:
                            register_module(component, module);
                            break;
                        case Parameter parameter:
                            register_parameter(component, parameter);
                            break;
                        case Tensor tensor:
                            register_buffer(component, tensor);
                            break;
                    }
                }

                _registered = true;
            }

            private protected void ConditionallyRegisterParameter(string name, Parameter? value)
            {
                if (value is null)
                    _parameters.Remove(name);
                else
                    _parameters.Set(name, value);
            }

            /// <summary>Puts a parameter of a property in the place of the one before, which it disposes.</summary>
            private protected void ReplaceComponent(string name, ref Parameter? current, Parameter? value)
            {
                current?.Dispose();
                current = value;
                value?.DetachFromDisposeScope();
                ConditionallyRegisterParameter(name, value);
            }

            private protected void ConditionallyRegisterBuffer(string name, Tensor? value)
            {
                if (value is null)
                    _buffers.Remove(name);
                else
                    _buffers.Set(name, (value, true));
            }

            protected virtual void Dispose(bool disposing)
            {
                if (!disposing || _disposed)
                    return;
                foreach (var (_, buffer) in named_buffers(false).ToArray())
                    buffer.DetachFromDisposeScope().Dispose();
                foreach (var (_, parameter) in named_parameters(false).ToArray())
                    parameter.DetachFromDisposeScope().Dispose();
                foreach (var (_, module) in named_modules().ToArray())
                    module.Dispose();
                _disposed = true;
            }

            private static string NameOf(FieldInfo field) => field.GetCustomAttribute<ComponentNameAttribute>()?.Name ?? field.Name;

            private IEnumerable<FieldInfo> Fields()
            {
                const BindingFlags all = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance;
                var seen = new HashSet<string>(StringComparer.Ordinal);
                for (var type = GetType(); type is not null && type != typeof(object); type = type.BaseType)
                {
                    foreach (var field in type.GetFields(all))
                    {
                        if (seen.Add(field.Name))
                            yield return field;
                    }
                }
            }
        }
    }
}
