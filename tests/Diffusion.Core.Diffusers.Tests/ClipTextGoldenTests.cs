using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>
/// Encoders recorded with an independent implementation: explicit sums and exponentials in PyTorch, written from the formulas. The loss is
/// mean((last - target)^2) + mean(pooled^2), and + mean(projected^2) where there is a projection.
/// </summary>
[Trait(Category.Name, Category.Golden)]
public class ClipTextGoldenTests
{
    public static TheoryData<string> Folders { get; } = ClipFolders.Find("models", "config.json", "\"clip_text_model\"");

    [Theory]
    [MemberData(nameof(Folders))]
    public void States_loss_and_every_gradient_equal_the_reference(string folder)
    {
        using var scope = NewDisposeScope();
        using var encoder = ClipText.LoadEncoder(folder);
        using var io = SafetensorsFile.Open(Path.Combine(folder, "io.safetensors"));
        var mask = io.Contains("attention_mask") ? io.Read("attention_mask") : null;
        using var output = encoder.EncodeWithHiddenStates(io.Read("input_ids"), mask);
        output.LastHiddenState.ShouldBeClose(io.Read("last_hidden_state"), 1e-5, "last_hidden_state");
        output.Pooled.ShouldBeClose(io.Read("pooler_output"), 1e-5, "pooler_output");
        output.HiddenStates.Should().HaveCount(encoder.Options.Layers + 1);
        output.HiddenStates[^2].ShouldBeClose(io.Read("penultimate"), 1e-5, "penultimate");
        var loss = output.LastHiddenState.sub(io.Read("target")).pow(2).mean().add(output.Pooled.pow(2).mean());
        (output.Projected is not null).Should().Be(io.Contains("text_embeds"));
        if (output.Projected is not null)
        {
            output.Projected.ShouldBeClose(io.Read("text_embeds"), 1e-5, "text_embeds");
            loss = loss.add(output.Projected.pow(2).mean());
        }

        loss.ShouldBeClose(io.Read("loss"), 1e-5, "loss");
        loss.backward();
        foreach (var (name, parameter) in encoder.named_parameters())
            parameter.grad!.ShouldBeClose(io.Read("grad." + name), 1e-5, name);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Checkpointed_layers_give_the_same_gradients_bit_for_bit(string folder)
    {
        using var scope = NewDisposeScope();
        using var io = SafetensorsFile.Open(Path.Combine(folder, "io.safetensors"));
        Dictionary<string, double[]> Gradients(bool checkpointed)
        {
            using var loaded = ClipText.LoadEncoder(folder);
            using var encoder = new ClipTextEncoder(loaded.Options with { UseGradientCheckpointing = checkpointed });
            encoder.load_state_dict(loaded.state_dict());
            using var output = encoder.Encode(io.Read("input_ids"), io.Contains("attention_mask") ? io.Read("attention_mask") : null);
            output.Pooled.pow(2).mean().backward();
            return encoder.named_parameters().Where(p => p.name != "text_projection.weight").ToDictionary(p => p.name, p => p.parameter.grad!.Values());
        }

        var (plain, checkpointed) = (Gradients(false), Gradients(true));
        foreach (var (name, values) in plain)
            checkpointed[name].Should().Equal(values, name);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_is_no_such_encoder_is_refused()
    {
        using var folder = new TemporaryFolder();
        void Refuse<T>(string config, string message)
            where T : Exception
        {
            File.WriteAllText(folder.File("config.json"), config.Replace("{A", "{\"architectures\": [\"CLIPTextModel\"]", StringComparison.Ordinal));
            FluentActions.Invoking(() => ClipText.LoadEncoder(folder.Path)).Should().Throw<T>().WithMessage(message);
        }

        FluentActions.Invoking(() => ClipText.LoadEncoder(folder.Path)).Should().Throw<FileNotFoundException>();
        using (var values = ones([1]))
            Safetensors.Save(folder.File("model.safetensors"), [new("x", values)]);
        Refuse<InvalidDataException>("[]", "*must be a JSON object, got Array*");
        Refuse<InvalidDataException>("{", "*must be JSON*");
        Refuse<InvalidDataException>("{A, \"hidden_size\": \"wide\"}", "*'hidden_size' must be a whole number*");
        Refuse<InvalidDataException>("{A, \"hidden_size\": 10, \"num_attention_heads\": 3}", "*must divide the width 10, got 3*");
        Refuse<NotSupportedException>("{A, \"hidden_act\": \"swish\"}", "*hidden_act*swish*");
        Refuse<NotSupportedException>("{\"architectures\": [\"T5EncoderModel\"]}", "*T5EncoderModel*");
        File.Delete(folder.File("model.safetensors"));
        Refuse<FileNotFoundException>("{A, \"hidden_size\": 8, \"vocab_size\": 8, \"num_hidden_layers\": 1}", "*");
    }
}
