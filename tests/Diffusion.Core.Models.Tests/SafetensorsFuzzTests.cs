using System.Buffers.Binary;
using System.Text;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Damaged files, from a fixed seed: each loads or is refused by its type of error, and takes no more memory than its size justifies.</summary>
[Trait(Category.Name, Category.Fault)]
public class SafetensorsFuzzTests
{
    private const int Count = 24_000;

    // A few objects for each tensor that a header of that size can describe, beside what opening any file takes.
    private const long BytesPerByte = 100;
    private const long BytesPerFile = 100_000;

    private static readonly string[] _words =
    [
        "0", "-1", "1", "8", "255", "4294967296", "9223372036854775807", "18446744073709551616", "1e300", "0.5", "null", "true", "[]", "{}", "\"\"",
        "\"F8_E4M3\"", "\"U64\"", "\"BOOL\"", "\"F64\"", "[0,9223372036854775807]", "[[[[[[[[", "\"\\ud800\"", "\"__metadata__\"", ",", "\u0000",
    ];

    [Fact]
    public void Every_damaged_file_loads_or_is_refused_and_takes_no_more_memory_than_its_size_justifies()
    {
        using var folder = new TemporaryFolder();
        var originals = Originals(folder);
        var random = new Random(20260);
        var path = folder.File("damaged.safetensors");
        var (loaded, refused) = (0, 0);
        var live = LiveTensors.Change(() =>
        {
            for (var i = 0; i < Count; i++)
            {
                var bytes = Damage(originals[i % originals.Length], random);
                File.WriteAllBytes(path, bytes);
                var before = GC.GetAllocatedBytesForCurrentThread();
                var data = 0L;
                try
                {
                    foreach (var tensor in Safetensors.Load(path).Values)
                    {
                        data += tensor.numel() * tensor.element_size();
                        tensor.Dispose();
                    }

                    loaded++;
                }
                catch (InvalidDataException e)
                {
                    e.Message.Should().Contain("damaged.safetensors");
                    refused++;
                }

                var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
                (allocated < (BytesPerByte * bytes.Length) + BytesPerFile).Should().BeTrue("file {0} of {1} bytes took {2}", i, bytes.Length, allocated);
                (data <= 4 * bytes.Length).Should().BeTrue("file {0} of {1} bytes made tensors of {2}", i, bytes.Length, data);
            }
        });

        live.Should().Be(0);
        (loaded + refused).Should().Be(Count);
        loaded.Should().BeInRange(Count / 100, Count / 2, "some damage is to the data only, which any bytes are");
    }

    [Fact]
    public void Every_prefix_of_a_file_is_refused()
    {
        using var folder = new TemporaryFolder();
        var whole = Originals(folder)[0];
        var path = folder.File("cut.safetensors");
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            FluentActions.Invoking(() => SafetensorsFile.Open(path).Dispose()).Should().Throw<InvalidDataException>("{0} bytes are left", length);
        }
    }

    [Fact]
    public void Layouts_that_are_not_a_partition_of_the_data_are_refused_and_only_those()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("layout.safetensors");
        var random = new Random(7);
        var accepted = 0;
        for (var i = 0; i < 2000; i++)
        {
            // Bounds of three tensors over twelve bytes: half of them a partition, in any order of the header.
            var cuts = new[] { 0, random.Next(13), random.Next(13), 12 }.Order().ToArray();
            var bounds = Enumerable.Range(0, 3).Select(k => (From: cuts[k], To: cuts[k + 1])).ToArray();
            if (random.Next(2) == 0)
                bounds[random.Next(3)] = (random.Next(13), random.Next(14));
            random.Shuffle(bounds);
            var json = string.Join(",", bounds.Select((bound, k) =>
                $"\"t{k}\":{{\"dtype\":\"U8\",\"shape\":[{Math.Abs(bound.To - bound.From)}],\"data_offsets\":[{bound.From},{bound.To}]}}"));
            File.WriteAllBytes(path, Whole($"{{{json}}}", new byte[12]));

            var covered = bounds.Where(bound => bound.From <= bound.To && bound.To <= 12)
                .SelectMany(bound => Enumerable.Range(bound.From, bound.To - bound.From)).Order();
            var isPartition = bounds.All(bound => bound.From <= bound.To && bound.To <= 12) && covered.SequenceEqual(Enumerable.Range(0, 12));
            Exception? error = Record.Exception(() => SafetensorsFile.Open(path).Dispose());
            if (error is null)
                accepted++;

            // An empty tensor may lie at any boundary, and nowhere else.
            var emptyInside = bounds.Any(empty => empty.From == empty.To && bounds.Any(bound => bound.From < empty.From && empty.From < bound.To));
            (error is null).Should().Be(isPartition && !emptyInside, json);
            if (error is not null)
                error.Should().BeOfType<InvalidDataException>();
        }

        accepted.Should().BeInRange(800, 1700);
    }

    private static byte[][] Originals(TemporaryFolder folder)
    {
        using var scope = NewDisposeScope();
        var path = folder.File("original.safetensors");
        Safetensors.Save(
            path,
            [
                new("conv.weight", arange(18, dtype: ScalarType.Float32).view(2, 1, 3, 3)),
                new("half", arange(5, dtype: ScalarType.Float32).to(ScalarType.BFloat16)),
                new("flags", arange(3, dtype: ScalarType.Int64).gt(0)),
                new("scalar", tensor(2L)),
            ],
            new Dictionary<string, string> { ["format"] = "pt", ["ü"] = "\"\n" });
        var first = File.ReadAllBytes(path);
        Safetensors.Write(
            path,
            [.. SafetensorsType.All.Select(type => SafetensorsSource.OfBytes($"of{type}", type, [2, 1], stream => stream.Write(new byte[2 * type.Size])))]);
        var second = File.ReadAllBytes(path);
        Safetensors.Save(path, [new("empty", zeros([0, 4]))]);
        return [first, second, File.ReadAllBytes(path), Whole("{}", [])];
    }

    private static byte[] Whole(string header, byte[] data)
    {
        var json = Encoding.UTF8.GetBytes(header);
        var prefix = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)json.Length);
        return [.. prefix, .. json, .. data];
    }

    /// <summary>One to four injuries; those of the header may keep its length right, so that they reach what comes after.</summary>
    private static byte[] Damage(byte[] original, Random random)
    {
        List<byte> bytes = [.. original];
        for (var injuries = random.Next(3) == 0 ? random.Next(1, 5) : 1; injuries > 0 && bytes.Count > 0; injuries--)
        {
            var at = random.Next(3) == 0 ? random.Next(Math.Min(bytes.Count, 8)) : random.Next(bytes.Count);
            switch (random.Next(8))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, random.Next(bytes.Count - at));
                    break;
                case 3:
                    bytes.AddRange(new byte[random.Next(1, 64)]);
                    break;
                case 4:
                    bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(64), bytes.Count - at)));
                    break;
                default:
                    bytes = Reword(bytes, random);
                    break;
            }
        }

        return [.. bytes];
    }

    /// <summary>Puts a word in place of a number or a string of the header, and its length right.</summary>
    private static List<byte> Reword(List<byte> bytes, Random random)
    {
        if (bytes.Count < 8)
            return bytes;
        var length = BinaryPrimitives.ReadUInt64LittleEndian(bytes[..8].ToArray());
        if (length > (ulong)(bytes.Count - 8))
            return bytes;
        var header = Encoding.Latin1.GetString(bytes.GetRange(8, (int)length).ToArray());
        var tokens = System.Text.RegularExpressions.Regex.Matches(header, "\"[^\"]*\"|\\d+|[{}\\[\\],:]");
        if (tokens.Count == 0)
            return bytes;
        var token = tokens[random.Next(tokens.Count)];
        var word = random.Next(3) == 0 ? tokens[random.Next(tokens.Count)].Value : _words[random.Next(_words.Length)];
        header = header[..token.Index] + word + header[(token.Index + token.Length)..];
        var prefix = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)header.Length);
        return [.. prefix, .. Encoding.Latin1.GetBytes(header), .. bytes.Skip(8 + (int)length)];
    }
}
