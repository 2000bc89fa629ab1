using System.Diagnostics.CodeAnalysis;

namespace TorchSharp.Interop;

/// <summary>Named things in the order they were added; a replaced one keeps its place.</summary>
internal sealed class OrderedMap<T>
{
    private readonly List<(string Name, T Item)> _items = [];

    internal IReadOnlyList<(string Name, T Item)> Items => _items;

    internal bool Contains(string name) => Find(name) >= 0;

    internal bool TryGet(string name, [MaybeNullWhen(false)] out T item)
    {
        var place = Find(name);
        item = place < 0 ? default : _items[place].Item;
        return place >= 0;
    }

    internal bool TryAdd(string name, T item)
    {
        if (Contains(name))
            return false;
        _items.Add((name, item));
        return true;
    }

    internal void Set(string name, T item)
    {
        var place = Find(name);
        if (place < 0)
            _items.Add((name, item));
        else
            _items[place] = (name, item);
    }

    internal void Remove(string name)
    {
        var place = Find(name);
        if (place >= 0)
            _items.RemoveAt(place);
    }

    private int Find(string name) => _items.FindIndex(entry => entry.Name == name);
}
