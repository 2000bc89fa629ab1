namespace Diffusion.Core.Models.Tests;

/// <summary>Calls that must be refused with an argument exception.</summary>
internal static class Refusal
{
    public static void Expect(Func<object> call, string message)
        => call.Invoking(refused => refused()).Should().Throw<ArgumentException>().WithMessage(message);
}
