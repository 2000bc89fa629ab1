using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public partial class Module
        {
            public virtual IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true)
            {
                var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
                foreach (var entry in _parameters.Items)
                {
                    if (!entry.Item.IsInvalid && seen.Add(entry.Item))
                        yield return entry;
                }

                if (!recurse)
                    yield break;
                foreach (var (prefix, module) in _submodules.Items)
                {
                    foreach (var (suffix, parameter) in module.named_parameters(true))
                    {
                        if (!parameter.IsInvalid && seen.Add(parameter))
                            yield return ($"{prefix}.{suffix}", parameter);
                    }
                }
            }

            public virtual IEnumerable<Parameter> parameters(bool recurse = true) => named_parameters(recurse).Select(entry => entry.parameter);

            public virtual IEnumerable<(string name, Tensor buffer)> named_buffers(bool recurse = true, bool include_nonpersistent = true)
            {
                // The flag changes nothing: non-persistent buffers are never listed. So it is in TorchSharp.
                var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
                foreach (var (label, (buffer, persistent)) in _buffers.Items)
                {
                    if (!buffer.IsInvalid && persistent && seen.Add(buffer))
                        yield return (label, buffer);
                }

                if (!recurse)
                    yield break;
                foreach (var (prefix, module) in _submodules.Items)
                {
                    foreach (var (suffix, buffer) in module.named_buffers(true, include_nonpersistent))
                    {
                        if (seen.Add(buffer))
                            yield return ($"{prefix}.{suffix}", buffer);
                    }
                }
            }

            public virtual IEnumerable<Tensor> buffers(bool recurse = true, bool include_nonpersistent = true)
                => named_buffers(recurse, include_nonpersistent).Select(entry => entry.buffer);

            public virtual IEnumerable<(string name, Module module)> named_children() => _submodules.Items;

            public virtual IEnumerable<Module> children() => named_children().Select(entry => entry.module);

            public virtual IEnumerable<(string name, Module module)> named_modules()
            {
                foreach (var entry in _submodules.Items)
                    yield return entry;
                foreach (var (prefix, child) in _submodules.Items)
                {
                    foreach (var (suffix, module) in child.named_modules())
                        yield return ($"{prefix}.{suffix}", module);
                }
            }

            public virtual IEnumerable<Module> modules() => named_modules().Select(entry => entry.module);

            public virtual Parameter? get_parameter(string target)
                => named_parameters().FirstOrDefault(entry => entry.name == target).parameter;

            public virtual Tensor? get_buffer(string target) => named_buffers().FirstOrDefault(entry => entry.name == target).buffer;

            public virtual Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null)
            {
                destination ??= [];
                foreach (var (label, parameter) in named_parameters())
                    destination.TryAdd(Join(prefix, label), parameter);
                foreach (var (label, buffer) in named_buffers(include_nonpersistent: false))
                    destination.TryAdd(Join(prefix, label), buffer);
                foreach (var (label, module) in _submodules.Items)
                    module.state_dict(destination, Join(prefix, label));
                return destination;
            }

            public virtual (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
                Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null)
            {
                skip ??= [];
                var destination = state_dict();
                var unexpected = source.Keys.Where(key => !skip.Contains(key) && !destination.ContainsKey(key)).ToList();
                var missing = destination.Keys.Where(key => !skip.Contains(key) && !source.ContainsKey(key)).ToList();
                if (strict && (missing.Count > 0 || unexpected.Count > 0))
                    throw new InvalidOperationException("The loaded state_dict is not identical to the target dictionary.");
                using var mode = no_grad();
                foreach (var (key, value) in source)
                {
                    if (!skip.Contains(key) && destination.TryGetValue(key, out var target))
                        target.copy_(value);
                }

                return (missing, unexpected);
            }

            public virtual void zero_grad(bool set_to_none = true)
            {
                foreach (var parameter in parameters())
                {
                    using var gradient = parameter.grad;
                    if (gradient is null)
                        continue;
                    if (set_to_none)
                        parameter.grad = null;
                    else
                        gradient.fill_(0);
                }
            }

            private static string Join(string? prefix, string label) => string.IsNullOrEmpty(prefix) ? label : $"{prefix}.{label}";
        }
    }
}
