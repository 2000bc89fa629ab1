using System.Runtime.CompilerServices;
using System.Text;
using static TorchSharp.torch;

namespace TorchSharp.Interop;

/// <summary>
/// An operator of libtorch, looked up by name when it is first called. Arguments are in the order of its schema; trailing ones that
/// are not given take the schema's defaults.
/// </summary>
/// <param name="name">As in <c>add.Tensor</c>: the name within the aten namespace, and the overload.</param>
internal sealed unsafe class Operator(string name)
{
    private const int ListsOnStack = 64;

    private nint _native;
    private bool _missing;

    /// <summary>Whether this libtorch has it.</summary>
    internal bool Exists => _native != 0 || Find();

    /// <summary>Calls it and wraps the one tensor it returns.</summary>
    internal Tensor Call(params ReadOnlySpan<Value> arguments)
    {
        NativeValue result;
        Invoke(arguments, &result, 1);
        return new Tensor((nint)result.Payload);
    }

    /// <summary>Calls it and wraps the two tensors it returns.</summary>
    internal (Tensor First, Tensor Second) CallPair(params ReadOnlySpan<Value> arguments)
    {
        var results = stackalloc NativeValue[2];
        Invoke(arguments, results, 2);
        return (new Tensor((nint)results[0].Payload), new Tensor((nint)results[1].Payload));
    }

    /// <summary>Calls it and wraps the tensors of the list it returns.</summary>
    internal Tensor[] CallList(params ReadOnlySpan<Value> arguments)
    {
        NativeValue result;
        Invoke(arguments, &result, 1);
        var handles = (nint*)result.Payload;
        var tensors = new Tensor[result.Count];
        for (var k = 0; k < tensors.Length; k++)
            tensors[k] = new Tensor(handles[k]);
        Native.sl_free(handles);
        return tensors;
    }

    /// <summary>Calls it and takes the one number or truth value it returns.</summary>
    internal NativeValue CallScalar(params ReadOnlySpan<Value> arguments)
    {
        NativeValue result;
        Invoke(arguments, &result, 1);
        return result;
    }

    /// <summary>Calls it for what it does to its arguments.</summary>
    internal void Run(params ReadOnlySpan<Value> arguments) => Invoke(arguments, null, 0);

    [SkipLocalsInit]
    private void Invoke(ReadOnlySpan<Value> arguments, NativeValue* results, int resultCount)
    {
        if (!Exists)
            throw new NotSupportedException($"This libtorch has no operator aten::{name}.");
        var total = 0;
        foreach (ref readonly var argument in arguments)
            total += argument.ManagedCount;
        var lists = total <= ListsOnStack ? stackalloc long[ListsOnStack] : new long[total];
        var values = stackalloc NativeValue[arguments.Length];
        fixed (long* free = lists)
        {
            var next = free;
            for (var k = 0; k < arguments.Length; k++)
            {
                ref readonly var argument = ref arguments[k];
                values[k].Tag = argument.Tag;
                values[k].Count = argument.Count;
                values[k].Payload = argument.ManagedCount == 0 ? argument.Payload : (long)next;
                if (argument.ManagedCount != 0)
                    next += CopyList(argument.Owner!, next);
            }

            Native.Check(Native.sl_call(_native, values, arguments.Length, results, resultCount));
        }

        foreach (ref readonly var argument in arguments)
            GC.KeepAlive(argument.Owner);
    }

    private static int CopyList(object list, long* target)
    {
        switch (list)
        {
            case long[] numbers:
                numbers.CopyTo(new Span<long>(target, numbers.Length));
                return numbers.Length;
            case double[] numbers:
                numbers.CopyTo(new Span<double>(target, numbers.Length));
                return numbers.Length;
            default:
                var tensors = (Tensor?[])list;
                for (var k = 0; k < tensors.Length; k++)
                    target[k] = tensors[k]?.Handle ?? 0;
                return tensors.Length;
        }
    }

    private bool Find()
    {
        if (_missing)
            return false;
        var parts = name.Split('.');
        fixed (byte* nameBytes = Encoding.UTF8.GetBytes($"aten::{parts[0]}\0"))
        fixed (byte* overloadBytes = Encoding.UTF8.GetBytes($"{(parts.Length == 2 ? parts[1] : "")}\0"))
        {
            nint found;
            Native.Check(Native.sl_find(nameBytes, overloadBytes, &found));
            _native = found;
        }

        _missing = _native == 0;
        return !_missing;
    }
}
