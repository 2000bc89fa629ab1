using TorchSharp.Interop;

namespace TorchSharp;

public static unsafe partial class torch
{
    public static class backends
    {
        public static class cuda
        {
            public static class matmul
            {
                public static bool allow_tf32
                {
                    get
                    {
                        int allowed;
                        Native.Check(Native.sl_get_matmul_tf32(&allowed));
                        return allowed != 0;
                    }

                    set => Native.Check(Native.sl_set_matmul_tf32(value ? 1 : 0));
                }
            }
        }

        public static class cudnn
        {
            public static bool allow_tf32
            {
                get
                {
                    int allowed;
                    Native.Check(Native.sl_get_cudnn_tf32(&allowed));
                    return allowed != 0;
                }

                set => Native.Check(Native.sl_set_cudnn_tf32(value ? 1 : 0));
            }
        }
    }
}
