using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests.Golden;

[Trait(Category.Name, Category.Golden)]
public class DiffusersReplayTests
{
    /// <summary>diffusers keeps its tables in float32.</summary>
    private const double Tolerance = 1e-4;

    public static TheoryData<string> Cases()
        => [.. DiffusersCase.Names(settings => DiffusersMapping.Scheduler(settings) is "DDPMScheduler" or "DDIMScheduler")];

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_recorded_run_of_diffusers_is_repeated_step_by_step(string name)
    {
        using var recorded = new DiffusersCase(name);
        Assert.SkipWhen(DiffusersMapping.WhyNot(recorded.Settings, recorded.Times) is not null, DiffusersMapping.WhyNot(recorded.Settings, recorded.Times) ?? "");

        var sampler = DiffusersMapping.Create(recorded.Settings);
        var calls = 0;
        var denoiser = new FunctionDenoiser((x, t, _) =>
        {
            var k = calls++;
            t.dtype.Should().Be(ScalarType.Int64);
            t.Values().Should().AllBeEquivalentTo(recorded.Times[k], $"call {k} of the network is at that time");
            using var input = recorded["model_in"].select(0, k);
            x.ShouldBeClose(input, Tolerance, $"the input of call {k}");
            return recorded["model_out"].select(0, k);
        });
        using var noise = new ReplayNoise((m, _) => recorded["noise"].select(0, m).clone());
        var request = new SamplingRequest { Shape = recorded["x_init"].shape, InitialSample = recorded["x_init"], Noise = noise };

        sampler.Grid.Times.ToArray().Should().Equal(recorded.Times);
        foreach (var state in sampler.Steps(denoiser, request, TestContext.Current.CancellationToken))
        {
            if (state.Step == 0)
                continue;
            using var expected = recorded["x"].select(0, state.Step - 1);
            state.Sample.ShouldBeClose(expected, Tolerance, $"x after step {state.Step}");
            if (!recorded.Contains("pred_x0"))
                continue;
            using var data = recorded["pred_x0"].select(0, state.Step - 1);
            state.Denoised!.ShouldBeClose(data, Tolerance, $"x_0 of step {state.Step}");
        }

        calls.Should().Be(recorded.Times.Length);

        // diffusers also draws for a last step whose noise it multiplies by zero.
        var draws = recorded.Contains("noise") ? (int)recorded["noise"].shape[0] : 0;
        noise.Draws.Should().BeOneOf(draws, draws - 1);
    }
}
