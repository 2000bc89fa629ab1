using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator NormalInPlace = new("normal_");
        private static readonly Operator UniformInPlace = new("uniform_");
        private static readonly Operator BernoulliInPlace = new("bernoulli_.float");
        private static readonly Operator Bernoulli = new("bernoulli");
        private static readonly Operator Multinomial = new("multinomial");

        public Tensor normal_(double mean = 0.0, double std = 1.0, Generator? generator = null)
            => InPlace(NormalInPlace, mean, std, generator);

        public Tensor uniform_(double from, double to, Generator? generator = null) => InPlace(UniformInPlace, from, to, generator);

        public Tensor bernoulli_(double p = 0.5, Generator? generator = null) => InPlace(BernoulliInPlace, p, generator);

        public Tensor bernoulli(Generator? generator = null) => Bernoulli.Call(this, generator);

        public Tensor multinomial(long num_samples, bool replacement = false, Generator? generator = null)
            => Multinomial.Call(this, num_samples, replacement, generator);
    }
}
