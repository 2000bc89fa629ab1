using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static int get_num_threads() => Native.sl_threads();

    public static unsafe void set_num_threads(int num) => Native.Check(Native.sl_set_threads(num));
}
