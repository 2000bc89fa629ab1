using System.Runtime.InteropServices;

namespace TorchSharp.Interop;

/// <summary>The functions of the shim in native. Those that can fail return null or the text of the error.</summary>
internal static unsafe partial class Native
{
    private const string Shim = "diffusion_torch_shim";

    static Native()
    {
        Heap.KeepFreedMemory();
        sl_calm_blas();
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("OMP_NUM_THREADS")))
            Check(sl_set_threads(Environment.ProcessorCount));
    }

    /// <summary>Throws what libtorch threw.</summary>
    internal static void Check(byte* error)
    {
        if (error is not null)
            throw new ExternalException(Marshal.PtrToStringUTF8((nint)error));
    }

    [LibraryImport(Shim)]
    internal static partial byte* sl_find(byte* name, byte* overload, nint* found);

    [LibraryImport(Shim)]
    internal static partial byte* sl_call(nint op, NativeValue* arguments, int count, NativeValue* results, int resultCount);

    [LibraryImport(Shim)]
    internal static partial byte* sl_attention(nint query, nint key, nint value, nint mask, int causal, nint* result);

    [LibraryImport(Shim)]
    internal static partial byte* sl_linear(nint input, nint weight, nint bias, nint* result);

    [LibraryImport(Shim)]
    internal static partial byte* sl_silu(nint input, nint* result);

    [LibraryImport(Shim)]
    internal static partial byte* sl_group_norm(nint input, long groups, nint weight, nint bias, double epsilon, nint* result);

    [LibraryImport(Shim)]
    internal static partial void sl_free(void* memory);

    [LibraryImport(Shim)]
    internal static partial void sl_release(nint tensor);

    [LibraryImport(Shim)]
    internal static partial nint sl_alias(nint tensor);

    [LibraryImport(Shim)]
    internal static partial long sl_dim(nint tensor);

    [LibraryImport(Shim)]
    internal static partial long sl_numel(nint tensor);

    [LibraryImport(Shim)]
    internal static partial long* sl_sizes(nint tensor);

    [LibraryImport(Shim)]
    internal static partial long* sl_strides(nint tensor);

    [LibraryImport(Shim)]
    internal static partial long sl_storage_offset(nint tensor);

    [LibraryImport(Shim)]
    internal static partial int sl_dtype(nint tensor);

    [LibraryImport(Shim)]
    internal static partial long sl_element_size(nint tensor);

    [LibraryImport(Shim)]
    internal static partial int sl_device_type(nint tensor);

    [LibraryImport(Shim)]
    internal static partial int sl_device_index(nint tensor);

    [LibraryImport(Shim)]
    internal static partial int sl_is_contiguous(nint tensor);

    [LibraryImport(Shim)]
    internal static partial int sl_requires_grad(nint tensor);

    [LibraryImport(Shim)]
    internal static partial int sl_is_leaf(nint tensor);

    [LibraryImport(Shim)]
    internal static partial byte* sl_data(nint tensor, void** data);

    [LibraryImport(Shim)]
    internal static partial byte* sl_set_requires_grad(nint tensor, int value);

    [LibraryImport(Shim)]
    internal static partial byte* sl_grad(nint tensor, nint* grad);

    [LibraryImport(Shim)]
    internal static partial byte* sl_set_grad(nint tensor, nint grad);

    [LibraryImport(Shim)]
    internal static partial byte* sl_backward(
        nint root, nint* grads, int gradCount, int retain, int create, nint* inputs, int inputCount);

    [LibraryImport(Shim)]
    internal static partial byte* sl_node_new(
        nint target,
        delegate* unmanaged<nint, nint*, int, nint*, int> apply,
        delegate* unmanaged<nint, void> release,
        nint* inputs,
        int inputCount,
        nint* outputs,
        int outputCount,
        nint* made);

    [LibraryImport(Shim)]
    internal static partial byte* sl_saved_new(nint tensor, nint node, nint* made);

    [LibraryImport(Shim)]
    internal static partial byte* sl_saved_unpack(nint saved, nint node, nint* tensor);

    [LibraryImport(Shim)]
    internal static partial void sl_saved_free(nint saved);

    [LibraryImport(Shim)]
    internal static partial byte* sl_autograd_grad(
        nint* outputs, int outputCount, nint* inputs, int inputCount, nint* grads, int gradCount, int retain, int create, int allowUnused, nint* results);

    [LibraryImport(Shim)]
    internal static partial int sl_grad_mode();

    [LibraryImport(Shim)]
    internal static partial void sl_set_grad_mode(int enabled);

    [LibraryImport(Shim)]
    internal static partial nint sl_inference_enter(int enabled);

    [LibraryImport(Shim)]
    internal static partial void sl_inference_leave(nint guard);

    [LibraryImport(Shim)]
    internal static partial byte* sl_generator_new(int deviceType, int deviceIndex, ulong seed, nint* made);

    [LibraryImport(Shim)]
    internal static partial byte* sl_generator_default(nint* made);

    [LibraryImport(Shim)]
    internal static partial void sl_generator_free(nint generator);

    [LibraryImport(Shim)]
    internal static partial byte* sl_generator_seed(nint generator, ulong seed);

    [LibraryImport(Shim)]
    internal static partial ulong sl_generator_initial_seed(nint generator);

    [LibraryImport(Shim)]
    internal static partial byte* sl_generator_get_state(nint generator, nint* state);

    [LibraryImport(Shim)]
    internal static partial byte* sl_generator_set_state(nint generator, nint state);

    [LibraryImport(Shim)]
    internal static partial byte* sl_manual_seed(ulong seed);

    [LibraryImport(Shim)]
    internal static partial long sl_cuda_count();

    [LibraryImport(Shim)]
    internal static partial int sl_get_matmul_tf32();

    [LibraryImport(Shim)]
    internal static partial byte* sl_set_matmul_tf32(int allow);

    [LibraryImport(Shim)]
    internal static partial int sl_get_cudnn_tf32();

    [LibraryImport(Shim)]
    internal static partial byte* sl_set_cudnn_tf32(int allow);

    [LibraryImport(Shim)]
    internal static partial int sl_threads();

    [LibraryImport(Shim)]
    internal static partial byte* sl_set_threads(int count);

    [LibraryImport(Shim)]
    internal static partial void sl_calm_blas();
}
