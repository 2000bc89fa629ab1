using System.Runtime.InteropServices;
using TorchSharp.Interop;
using static TorchSharp.torch;
using static TorchSharp.torch.autograd;

namespace TorchSharp;

/// <summary>The managed half of a graph node: alive as long as the native half, which tells it when the graph is gone.</summary>
/// <param name="context">What the forward pass left; freed with the node.</param>
/// <param name="backward">From the gradients of the outputs to those of all arguments.</param>
/// <param name="isTensor">Which arguments were tensors: only those have gradients.</param>
internal sealed unsafe class FunctionNode(
    AutogradContext context, Func<AutogradContext, List<Tensor>, List<Tensor?>> backward, bool[] isTensor)
{
    private (long[] Shape, ScalarType Type, Device Device)[] _outputs = [];

    /// <summary>Puts the node between inputs and outputs; the outputs come back as new tensors that know it.</summary>
    internal List<Tensor> Connect(Tensor[] inputs, List<Tensor> outputs)
    {
        _outputs = [.. outputs.Select(output => (output.shape, output.dtype, output.device))];
        var from = Handles(inputs);
        var to = Handles(outputs);
        nint made;
        fixed (nint* input = from, output = to)
        {
            Native.Check(Native.sl_node_new(
                GCHandle.ToIntPtr(GCHandle.Alloc(this)), &Apply, &Release, input, from.Length, output, to.Length, &made));
        }

        context.Node = made;
        GC.KeepAlive(inputs);
        GC.KeepAlive(outputs);
        var connected = to.Select(handle => new Tensor(handle)).ToList();
        context.Save();
        return connected;
    }

    [UnmanagedCallersOnly]
    private static int Apply(nint target, nint* gradients, int count, nint* results)
        => ((FunctionNode)GCHandle.FromIntPtr(target).Target!).Apply(new ReadOnlySpan<nint>(gradients, count), results);

    [UnmanagedCallersOnly]
    private static void Release(nint target)
    {
        var handle = GCHandle.FromIntPtr(target);
        ((FunctionNode)handle.Target!).Free();
        handle.Free();
    }

    private void Free() => context.Dispose();

    private int Apply(ReadOnlySpan<nint> gradients, nint* results)
    {
        var given = new List<Tensor>();
        for (var k = 0; k < gradients.Length; k++)
        {
            var (shape, type, device) = _outputs[k];
            given.Add(gradients[k] == 0 && context.MaterializeGrads ? zeros(shape, dtype: type, device: device) : new Tensor(gradients[k]));
        }

        var found = backward(context, given);
        if (found.Count < isTensor.Length)
            throw new NotImplementedException(
                $"The function returned an incorrect number of gradients (expected {isTensor.Length}), got {found.Count}");
        var written = 0;
        for (var k = 0; k < isTensor.Length; k++)
        {
            if (isTensor[k])
                results[written++] = found[k] is { IsInvalid: false } gradient ? Native.sl_alias(gradient.Handle) : 0;
        }

        GC.KeepAlive(found);
        return written;
    }
}
