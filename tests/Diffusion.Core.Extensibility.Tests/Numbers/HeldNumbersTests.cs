using System.Reflection;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests.Numbers;

/// <summary>No number reaches TorchSharp by a way that does not keep it alive; see docs/torchsharp.md, "Numbers passed to operators".</summary>
public class HeldNumbersTests
{
    private static readonly ScalarScan _scan = new();

    public static TheoryData<string> Assemblies { get; } =
    [
        "Diffusion.Core",
        "Diffusion.Core.Data",
        "Diffusion.Core.Evaluation",
        "Diffusion.Core.Diffusers",
        "Diffusion.Core.Losses",
        "Diffusion.Core.Models",
        "Diffusion.Core.Samplers",
        "Diffusion.Core.Schedules",
    ];

    [Theory]
    [MemberData(nameof(Assemblies))]
    public void Numbers_are_created_and_held_by_the_helper_alone(string name)
    {
        var assembly = Assembly.Load(name);
        var findings = _scan.Find(assembly).ToLookup(place => place.Method.DeclaringType!.FullName == "Diffusion.Core.Number");

        findings[true].Should().NotBeEmpty("the helper is compiled into every library, and is where numbers are created");
        findings[false].Select(place => place.Finding).Should().BeEmpty("src/Shared/Scalars.cs has a form that holds the number");
    }

    [Theory]
    [MemberData(nameof(Assemblies))]
    public void Held_numbers_are_released_by_the_operators_that_take_them(string name)
    {
        var holders = Assembly.Load(name).GetTypes().SelectMany(IlReader.Methods)
            .Where(method => IlReader.Named(method).Any(called => called is { Name: "Hold", DeclaringType.Name: "Number" }))
            .ToArray();

        holders.Should().NotBeEmpty();
        holders.Should().OnlyContain(method => method.DeclaringType!.FullName == "Diffusion.Core.Scalars");
        holders.Should().OnlyContain(
            method => IlReader.Named(method).Any(called => called.Name == "Dispose" && called.DeclaringType!.Name == "HeldScalar"));
    }

    [Fact]
    public void Every_library_is_scanned()
        => Directory.GetFiles(AppContext.BaseDirectory, "Diffusion.Core*.dll").Select(Path.GetFileNameWithoutExtension)
            .Where(name => !name!.EndsWith(".Tests", StringComparison.Ordinal))
            .Should().BeEquivalentTo(Assemblies.Select(row => row.Data));

    [Theory]
    [InlineData(nameof(Unsafe.Converted), "op_Implicit")]
    [InlineData(nameof(Unsafe.Multiplied), "op_Multiply")]
    [InlineData(nameof(Unsafe.Added), "op_Addition")]
    [InlineData(nameof(Unsafe.Squared), "square")]
    [InlineData(nameof(Unsafe.Normalised), "BatchNorm")]
    [InlineData(nameof(Unsafe.Minimised), "SGD")]
    public void Unsafe_calls_are_found(string method, string call)
        => _scan.Find(typeof(Unsafe).GetMethod(method)!).Should().Contain(place => place.Finding.Contains(call));

    [Fact]
    public void Unsafe_calls_are_found_in_lambdas_and_iterators()
        => _scan.Find(typeof(HeldNumbersTests).Assembly)
            .Where(place => place.Method.DeclaringType is { DeclaringType: { } outer } && outer == typeof(Unsafe))
            .Select(place => place.Method.DeclaringType!.Name + "." + place.Method.Name)
            .Should().Contain(name => name.Contains(nameof(Unsafe.Deferred)))
            .And.Contain(name => name.Contains(nameof(Unsafe.Series)));

    [Fact]
    public void Calls_without_numbers_are_not_found()
        => _scan.Find(typeof(Unsafe).GetMethod(nameof(Unsafe.Harmless))!).Should().BeEmpty();

    /// <summary>Never called: what the scan must find.</summary>
    private static class Unsafe
    {
        public static Tensor Converted(Tensor x) => x.mul(0.5);

        public static Tensor Multiplied(Tensor x) => x * 0.5;

        public static Tensor Added(Tensor x, Tensor y) => x + y;

        public static Tensor Squared(Tensor x) => x.square();

        // The number is in a method that only the base class names.
        public static Tensor Normalised(Tensor x) => nn.BatchNorm2d(3).call(x);

        // The number is in a lambda, of a class that a factory constructs.
        public static TorchSharp.Modules.SGD Minimised(TorchSharp.Modules.Parameter weight) => optim.SGD([weight], 0.1);

        public static Func<Tensor, Tensor> Deferred() => x => x.clamp_min(0.5);

        public static IEnumerable<Tensor> Series(Tensor x)
        {
            yield return x.div(3);
            yield return x;
        }

        public static Tensor Harmless(Tensor x, Tensor y) => nn.functional.silu(x.mul(y).sub(x)).sum(1L).reshape(-1);
    }
}
