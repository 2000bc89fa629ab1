using System.Runtime.InteropServices;

namespace TorchSharp.Interop;

internal enum Tag
{
    None,
    Tensor,
    Int,
    Double,
    Bool,
    IntList,
    DoubleList,
    TensorList,
    String,
    Generator,
    Device,
}

/// <summary>One argument or result of an operator, as <c>Value</c> in native/shim.cpp.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeValue
{
    public Tag Tag;
    public int Count;
    public long Payload;
}
