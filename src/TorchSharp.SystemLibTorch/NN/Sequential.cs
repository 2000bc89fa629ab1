using System.Globalization;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

/// <summary>Modules called one after the other; what each makes is disposed once the next has read it.</summary>
public class Sequential : nn.Module<Tensor, Tensor>
{
    private readonly List<(string Name, nn.Module<Tensor, Tensor> Module)> _steps = [];

    internal Sequential()
        : base(nameof(Sequential))
    {
    }

    private int Count => _steps.Count;

    internal Sequential append(nn.Module<Tensor, Tensor> module) => append(Count.ToString(CultureInfo.InvariantCulture), module);

    internal Sequential append(string name, nn.Module<Tensor, Tensor> module)
    {
        _steps.Add((name, module));
        return this;
    }

    public override Tensor forward(Tensor tensor)
    {
        if (Count == 0)
            return tensor.alias();
        var result = _steps[0].Module.call(tensor);
        for (var k = 1; k < Count; k++)
        {
            using var previous = result;
            result = _steps[k].Module.call(previous);
        }

        return result;
    }

    public override IEnumerable<(string name, nn.Module module)> named_children()
        => _steps.Select(step => (step.Name, (nn.Module)step.Module));

    public override IEnumerable<(string name, nn.Module module)> named_modules()
        => named_children().Concat(
            named_children().SelectMany(child => child.module.named_modules().Select(inner => ($"{child.name}.{inner.name}", inner.module))));

    public override IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true)
        => recurse
            ? named_children()
                .SelectMany(child => child.module.named_parameters().Select(inner => (name: $"{child.name}.{inner.name}", inner.parameter)))
                .DistinctBy(entry => entry.parameter, ReferenceEqualityComparer.Instance)
            : [];

    public override IEnumerable<(string name, Tensor buffer)> named_buffers(bool recurse = true, bool include_persistent = true)
        => recurse
            ? named_children()
                .SelectMany(child => child.module.named_buffers(true, include_persistent)
                    .Select(inner => (name: $"{child.name}.{inner.name}", inner.buffer)))
                .DistinctBy(entry => entry.buffer, ReferenceEqualityComparer.Instance)
            : [];
}
