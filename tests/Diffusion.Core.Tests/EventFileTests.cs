using System.Text;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

public class EventFileTests
{
    private const string TinyPng = "89504E470D0A1A0A0000000D49484452000000C8000000030800000000";

    /// <summary>RFC 3720, appendix B.4: the CRC-32C of 32 bytes.</summary>
    [Theory]
    [InlineData(0, 0, 0x8A9136AAu)]
    [InlineData(255, 0, 0x62A8AB43u)]
    [InlineData(0, 1, 0x46DD794Eu)]
    [InlineData(31, -1, 0x113FDB5Cu)]
    public void The_check_sum_is_the_masked_one_of_Castagnoli(int first, int step, uint crc)
    {
        var bytes = Enumerable.Range(0, 32).Select(i => (byte)(first + (i * step))).ToArray();

        EventFile.MaskedCrc(bytes).Should().Be(unchecked(((crc >> 15) | (crc << 17)) + 0xA282EAD8u));
    }

    /// <summary>The messages after their time are those that the classes of the package TorchSharp 0.107, made from TensorFlow's own files, write.</summary>
    [Fact]
    public void Events_are_written_byte_for_byte_as_by_protocol_buffers()
    {
        using var folder = new TemporaryFolder();
        var file = new EventFile(folder.Path, firstStep: 7);
        file.AddScalar("train/loss", 0.1, 300_000_000_000);
        file.AddImage("samples", Convert.FromHexString(TinyPng), 50);

        Messages(file.FilePath).Select(message => Convert.ToHexString(message.AsSpan(9))).Should().Equal(
            "1A0D627261696E2E4576656E743A32",
            "10073A020801",
            "1080F092CBDD082A130A110A0A747261696E2F6C6F737315CDCCCC3D",
            "10322A330A310A0773616D706C65732226080310C8011801221D" + TinyPng);
    }

    [Fact]
    public void A_file_begins_as_all_files_of_TensorBoard_do()
    {
        using var folder = new TemporaryFolder();
        var bytes = File.ReadAllBytes(new EventFile(folder.Path).FilePath);

        // A length of 24 and its check sum, then field 1, the time.
        Convert.ToHexString(bytes.AsSpan(0, 13)).Should().Be("1800000000000000A37F4B2209");
        Encoding.ASCII.GetString(bytes).Should().Contain("brain.Event:2");
        var seconds = BitConverter.ToDouble(bytes, 13);
        DateTimeOffset.FromUnixTimeMilliseconds((long)(seconds * 1e3)).Should().BeCloseTo(DateTimeOffset.UtcNow, TimeSpan.FromMinutes(5));
    }

    [Fact]
    public void Files_of_one_folder_have_names_in_the_order_in_which_they_were_made()
    {
        using var folder = new TemporaryFolder();
        var names = Enumerable.Range(0, 3).Select(_ => Path.GetFileName(new EventFile(folder.Path).FilePath)).ToArray();

        names.Should().OnlyHaveUniqueItems().And.BeInAscendingOrder(StringComparer.Ordinal).And.OnlyContain(name => name.Contains("tfevents"));
    }

    [Fact]
    public void What_is_no_picture_is_refused()
    {
        using var folder = new TemporaryFolder();
        var file = new EventFile(folder.Path);

        FluentActions.Invoking(() => file.AddImage("x", new byte[100], 1)).Should().Throw<ArgumentException>().WithParameterName("png");
        FluentActions.Invoking(() => file.AddScalar(" ", 1.0, 1)).Should().Throw<ArgumentException>();
        Messages(file.FilePath).Should().HaveCount(1);
    }

    [Fact]
    public void A_run_is_logged_and_a_resumed_one_takes_the_place_of_the_steps_it_takes_again()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.File("a.png"), Convert.FromHexString(TinyPng));
        var options = Runs.Options with
        {
            Steps = 2,
            LogEvery = 1,
            CheckpointFolder = folder.File("checkpoints"),
            Callbacks =
            [
                new TensorBoardLog(folder.File("events")),
                Every.Steps(2, run =>
                {
                    run.LogMetric("score", 1.0);
                    run.LogImage("samples", folder.File("a.png"));
                }),
            ],
        };
        Fit(options);
        Fit(options with { Steps = 3 });

        var files = Directory.GetFiles(folder.File("events")).Order(StringComparer.Ordinal).Select(Messages).ToArray();
        files.Should().HaveCount(2);
        string[] tags = ["data_wait", "gradient_norm", "learning_rate", "loss", "loss_q0", "loss_q1", "loss_q2", "loss_q3", "mse", "samples_per_second", "skipped_steps"];
        files[0].Should().HaveCount(1 + (2 * tags.Length) + 2);
        var text = Encoding.Latin1.GetString([.. files[0].SelectMany(message => message)]);
        foreach (var tag in tags.Select(tag => $"train/{tag}\u0015").Append("score\u0015").Append("samples\""))
            text.Should().Contain(tag);
        Convert.ToHexString(files[1][1].AsSpan(9)).Should().Be("10033A020801", "steps 3 and after begin anew");
    }

    /// <summary>The messages of a file, whose framing is checked.</summary>
    private static List<byte[]> Messages(string path)
    {
        var messages = new List<byte[]>();
        using var reader = new BinaryReader(File.OpenRead(path));
        while (reader.BaseStream.Position < reader.BaseStream.Length)
        {
            var length = reader.ReadBytes(8);
            reader.ReadUInt32().Should().Be(EventFile.MaskedCrc(length));
            messages.Add(reader.ReadBytes((int)BitConverter.ToUInt64(length)));
            reader.ReadUInt32().Should().Be(EventFile.MaskedCrc(messages[^1]));
        }

        return messages;
    }

    private static void Fit(TrainerOptions options)
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, options);
        trainer.Run(new Points(50));
    }
}
