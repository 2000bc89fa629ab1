using System.Collections;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

/// <summary>Modules by number. They are registered when the list itself is.</summary>
public class ModuleList<T> : nn.Module, IEnumerable<T>
    where T : nn.Module
{
    private readonly List<T> _list;
    private bool _registered;

    public ModuleList(params T[] modules)
        : base(nameof(ModuleList<>))
        => _list = [.. modules];

    public int Count => _list.Count;

    public T this[int index] => _list[index];

    public void Add(T item) => _list.Add(item);

    public IEnumerator<T> GetEnumerator() => _list.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    protected override void RegisterComponents()
    {
        if (_registered)
            return;
        for (var k = 0; k < _list.Count; k++)
            register_module($"{k}", _list[k]);
        _registered = true;
    }
}
