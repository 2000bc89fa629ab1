using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator NormalInPlace = new("normal_");
        private static readonly Operator UniformInPlace = new("uniform_");

        public Tensor normal_(double mean = 0.0, double std = 1.0, Generator? generator = null)
            => InPlace(NormalInPlace, mean, std, generator);

        public Tensor uniform_(double from, double to, Generator? generator = null) => InPlace(UniformInPlace, from, to, generator);
    }
}
