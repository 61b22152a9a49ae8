// The C# binding against the native library; a program of its own, so that Mono's compiler suffices.

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Threading;
using Npad;

static partial class Tests
{
    const int Side = 64;
    static int failures;

    static void Check(bool condition, string what)
    {
        if (condition) return;
        Console.Error.WriteLine("FAILED: " + what);
        failures++;
    }

    static void Throws(NpadStatus status, string text, Action action)
    {
        try
        {
            action();
            Check(false, "no exception: " + text);
        }
        catch (NpadException error)
        {
            Check(error.Status == status && error.Message.Contains(text), status + " " + text + ": " + error.Message);
        }
    }

    static void Throws<T>(string what, Action action) where T : Exception
    {
        try
        {
            action();
            Check(false, "no exception: " + what);
        }
        catch (T) { }
    }

    /// <summary>A grey part with a gradient and some noise; each seed is another one of the same kind.</summary>
    static byte[] Part(uint seed, int scratchX = -1)
    {
        var pixels = new byte[Side * Side];
        var state = unchecked(seed * 2654435761u + 1);
        for (var i = 0; i < pixels.Length; i++)
        {
            state = unchecked(state * 1664525u + 1013904223u);
            pixels[i] = (byte)(100 + i % Side + (state >> 28));
            if (scratchX >= 0 && i % Side >= scratchX && i % Side < scratchX + 8 && i / Side >= 20 && i / Side < 28) pixels[i] = 5;
        }
        return pixels;
    }

    static Image View(byte[] pixels) => new Image(pixels, Side, Side, PixelFormat.Gray8);

    static Options Quick() => new Options { ["size"] = "64", ["npad.channels"] = "8" };

    static IEnumerable<Image> Good(int count = 12, int first = 0) =>
        Enumerable.Range(first, count).Select(seed => View(Part((uint)seed)));

    static int Main()
    {
        Check(Library.Version.Split('.').Length == 3, "version");
        EnumsAgree();
        using (var options = Quick())
        using (var model = Model.Fit(Good(), options))
        {
            FindsTheScratch(model);
            FilesAndMemory(model);
            LayoutsAgree(model);
            MasksAndBatches(model, options);
            Thresholds(model);
            GoesOn(model);
            States();
            KnowsDefects(model);
            ManyThreads(model);
            Getters(model);
            PixelsOfRegions(model);
            OwnMemory(model);
            Rectangles(model);
            Cancellation(model);
            SizesDoNotWrap(model);
            PinsAreReleased(model);
            Spans(model);
            Tasks(model);
            Arguments(model);
            PlacesInMessages(model);
        }
        ProgressStopsAFit();
        TrainerInUse();
        Lists();
        Logging();
        LogHandlersOfThreads();
        Extractors();
        PartialExtractors();
        Versions();
        WrongUse();
        if (failures > 0) return 1;
        Console.WriteLine("all as documented");
        return 0;
    }

    /// <summary>The public enums are those of the generated layer.</summary>
    static void EnumsAgree()
    {
        foreach (var type in new[] { typeof(NpadStatus), typeof(Verdict), typeof(OptionType) })
        {
            var name = type == typeof(NpadStatus) ? "Status" : type == typeof(OptionType) ? "OptionKind" : type.Name;
            var native = typeof(Model).Assembly.GetType("Npad.Native." + name);
            Check(Enum.GetNames(type).SequenceEqual(Enum.GetNames(native)), name);
            Check(Enum.GetValues(type).Cast<int>().SequenceEqual(Enum.GetValues(native).Cast<int>()), name);
        }
    }

    static void FindsTheScratch(Model model)
    {
        var bad = View(Part(200, 40));
        using (var fine = model.Score(View(Part(200))))
        using (var found = model.Score(bad))
        {
            Check(!fine.IsAnomalous && fine.Verdict == Verdict.Good && found.Verdict == Verdict.Defective, "verdicts");
            Check(fine.CalibratedScore < 0.5f && found.CalibratedScore > 0.5f && found.Score > model.Threshold, "scores");
            var region = found.GetRegions()[0];
            Check(region.X < 48 && region.X + region.Width > 40 && region.Area > 10 && region.Peak > model.Threshold, "region");
            var map = found.GetMap();
            Check(map.Length == Side * Side && map.Max() == found.GetRegions().Max(r => r.Peak), "map");
            Check(Marshal.PtrToStructure<float>(found.MapPointer) == map[0], "map pointer");
            var own = new float[Side * Side];
            var decision = model.ScoreInto(bad, own);
            Check(decision.Score == found.Score && own.SequenceEqual(map) && decision.Verdict == Verdict.Defective, "into");
            var picture = model.Render(bad, found, PixelFormat.Bgr8);
            Check(picture.Length == 3 * Side * Side && picture.Distinct().Count() > 20, "picture");
        }
    }

    static void FilesAndMemory(Model model)
    {
        var folder = Path.Combine(Path.GetTempPath(), "npad-" + Guid.NewGuid());
        Directory.CreateDirectory(folder);
        try
        {
            var path = Path.Combine(folder, "modèle ü.npad");
            model.Save(path);
            Check(File.ReadAllBytes(path).SequenceEqual(model.ToBytes()), "bytes");
            using (var loaded = Model.Load(path))
            using (var copy = Model.FromBytes(model.ToBytes()))
            using (Result a = model.Score(View(Part(7))), b = loaded.Score(View(Part(7))), c = copy.Score(View(Part(7))))
                Check(a.Score == b.Score && b.Score == c.Score && model.Info == loaded.Info, "loaded");
            using (var loaded = Model.FromBytes(model.ToBytes()))
                Check(model.Card == loaded.Card && model.Card.Contains(model.Backbone), model.Card);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
        Throws(NpadStatus.NotFound, "/none", () => Model.Load("/none"));
        Throws(NpadStatus.NotFound, "/none/x", () => model.Save("/none/x"));
        var exported = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".onnx");
        using (var options = new Options().Set("export_batch", "2")) model.ExportOnnx(exported, options);
        model.ExportOnnx(exported);
        Check(new FileInfo(exported).Length > 100000 && File.ReadAllText(Path.ChangeExtension(exported, ".json")).Contains("threshold"), "exported");
        File.Delete(exported);
        File.Delete(Path.ChangeExtension(exported, ".json"));
        Throws(NpadStatus.InvalidArgument, "ends in .onnx", () => model.ExportOnnx("x.npad"));
        Throws(NpadStatus.InvalidModel, "intact", () => Model.FromBytes(new byte[9]));
        Throws(NpadStatus.InvalidModel, "intact", () => Model.FromBytes(new byte[0]));
    }

    static void LayoutsAgree(Model model)
    {
        var gray = Part(200, 40);
        var rgb = gray.SelectMany(v => new[] { v, v, v }).ToArray();
        var padded = new byte[Side * (Side + 5)];
        for (var y = 0; y < Side; y++) Array.Copy(gray, y * Side, padded, y * (Side + 5), Side);
        var pin = GCHandle.Alloc(gray, GCHandleType.Pinned);
        var pointer = pin.AddrOfPinnedObject();
        var images = new[]
        {
            View(gray), new Image(rgb, Side, Side, PixelFormat.Rgb8), new Image(rgb, Side, Side, PixelFormat.Bgr8),
            new Image(padded, Side, Side, PixelFormat.Gray8, Side + 5), new Image(pointer, Side, Side, PixelFormat.Gray8),
            Image.Planar(pointer, pointer, pointer, Side, Side),
            new Image(gray.Select(v => (ushort)(v * 257)).ToArray(), Side, Side),
            new Image(gray.Select(v => v / 255.0f).ToArray(), Side, Side),
        };
        var results = model.Score(images);
        Check(results.All(result => result.Score == results[0].Score), "layouts");
        foreach (var result in results) result.Dispose();
        pin.Free();
    }

    static void MasksAndBatches(Model model, Options options)
    {
        var left = new byte[Side * Side];
        for (var i = 0; i < left.Length; i++) left[i] = (byte)(i % Side < 31 ? 1 : 0);
        var mask = new Mask(left, Side, Side);
        using (var result = model.Score(View(Part(200, 44)).WithMask(mask))) Check(!result.IsAnomalous, "mask");
        Throws(NpadStatus.InvalidImage, "8 x 8", () => model.Score(View(Part(1)).WithMask(new Mask(left, 8, 8))));
        using (var masked = Quick().SetMask(mask))
        using (var within = Model.Fit(Good(), masked))
        using (Result outside = within.Score(View(Part(200, 44))), inside = within.Score(View(Part(200, 12))))
            Check(!outside.IsAnomalous && inside.IsAnomalous, "mask of a fit");
        var batch = model.Score(new[] { View(Part(200)), View(Part(200, 40)) });
        Check(!batch[0].IsAnomalous && batch[1].IsAnomalous, "batch");
        foreach (var result in batch) result.Dispose();
        Check(model.Score(new Image[0]).Count == 0, "empty batch");
    }

    static void Thresholds(Model model)
    {
        using (var result = model.Score(View(Part(200, 40))))
        using (var loose = model.WithThresholds(result.Score + 1, result.Score - 1))
        using (var again = loose.Score(View(Part(200, 40))))
            Check(again.Verdict == Verdict.Review && loose.ReviewThreshold < loose.Threshold, "review");
        Throws(NpadStatus.InvalidArgument, "threshold is -1", () => model.WithThresholds(-1, -1));
        var key = new byte[32];
        key[0] = 1;
        using (var signed = model.WithSignature(key))
        using (var trusting = new Options())
        {
            Check(signed.Signer.Length == 64 && model.Signer == "", "signer");
            trusting.Set("trusted_keys", signed.Signer);
            using (var loaded = Model.FromBytes(signed.ToBytes(), trusting)) Check(loaded.Signer == signed.Signer, "loaded");
            Throws(NpadStatus.UntrustedModel, "not signed", () => Model.FromBytes(model.ToBytes(), trusting));
        }
        Throws(NpadStatus.InvalidArgument, "0 bytes", () => model.WithSignature(new byte[0]));
        var others = Good(12, 300).ToList();
        using (var rates = new Options { ["false_alarm_rate"] = "0.3" })
        using (Model rough = model.Recalibrate(others, rates), same = model.Recalibrate(others))
            Check(rough.Threshold < same.Threshold, "recalibrated");
        Throws(NpadStatus.NotEnoughImages, "learnt do not count", () => model.Recalibrate(Good().ToList()));
        Throws(NpadStatus.NotEnoughImages, "0 good images", () => model.Recalibrate(new Image[0]));
    }

    static void GoesOn(Model model)
    {
        using (var trainer = Trainer.Resume(model))
        {
            Throws(NpadStatus.NotEnoughImages, "no further", () => trainer.Finish());
            trainer.Add(View(Part(13)));
            Check(trainer.Count == 1, "count");
            using (var more = trainer.Finish()) Check(more.Info.Contains("\"images\":13"), more.Info);
        }
    }

    static void States()
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using (var options = Quick().Set("date", "none"))
        using (var machine = new Options { ["date"] = "none" })
        using (var whole = new Trainer(options))
        using (var first = new Trainer(options))
        using (var rest = new Trainer(options))
        {
            foreach (var image in Good()) whole.Add(image);
            foreach (var image in Good(5)) first.Add(image);
            foreach (var image in Good(7, 5)) rest.Add(image);
            first.Save(path);
            var state = rest.ToBytes();
            using (var loaded = Trainer.Load(path, machine))
            using (var other = Trainer.FromBytes(state, options))
            using (var expected = whole.Finish())
            {
                loaded.Merge(state);
                other.Merge(path);
                Check(loaded.Count == 12 && other.Count == 12, "merged images");
                using (var merged = loaded.Finish())
                using (var too = other.Finish())
                    Check(merged.ToBytes().SequenceEqual(expected.ToBytes()) && too.ToBytes().SequenceEqual(expected.ToBytes()),
                        "merged states");
            }
            Throws(NpadStatus.InvalidModel, "trainer state", () => first.Merge(new byte[0]));
            Throws(NpadStatus.InvalidModel, "trainer state", () => Trainer.FromBytes(new byte[20]).Dispose());
            Throws(NpadStatus.NotFound, "none.state", () => Trainer.Load("none.state").Dispose());
        }
        File.Delete(path);
    }

    static void KnowsDefects(Model model)
    {
        Check(model.KnownDefects == null, "no known defects");
        using (var options = Quick())
        {
            options["operating_point"] = "catch_all";
            using (var trainer = new Trainer(options))
            {
                Throws(NpadStatus.WrongState, "good images before", () => trainer.AddDefect(View(Part(200, 40))));
                foreach (var image in Good()) trainer.Add(image);
                Throws(NpadStatus.WrongState, "no known defects", () => trainer.Finish());
                trainer.AddDefect(View(Part(200, 40)));
                using (var careful = trainer.Finish())
                {
                    var known = careful.KnownDefects;
                    Check(known.Count == 1 && known.InUse.Missed == 0 && known.InUse.Threshold == careful.Threshold, "found");
                    Check(known.CatchAll.Threshold == careful.Threshold && known.Rate.Threshold >= careful.Threshold, "all");
                    Check(Math.Abs(known.Rate.FalseAlarmRate - 0.01) < 1e-3, "rate");
                    Check(known.Cost.FalseAlarmRate >= known.Rate.FalseAlarmRate - 1e-9, "cost");
                }
            }
        }
    }

    static void ManyThreads(Model model)
    {
        float expected;
        using (var result = model.Score(View(Part(5)))) expected = result.Score;
        var wrong = 0;
        var threads = Enumerable.Range(0, 8).Select(_ => new Thread(() =>
        {
            for (var i = 0; i < 25; i++)
                using (var result = model.Score(View(Part(5))))
                    if (result.Score != expected) Interlocked.Increment(ref wrong);
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Check(wrong == 0, "threads");
    }

    static void WrongUse()
    {
        var options = Quick();
        Throws(NpadStatus.InvalidOption, "sise", () => options["sise"] = "1");
        Throws<ArgumentNullException>("null value", () => options.Set("size", null));
        options.Dispose();
        Throws<ObjectDisposedException>("disposed options", () => options.Set("size", "64"));
        Throws<ObjectDisposedException>("disposed options", () => Model.Fit(Good(), options));
        using (var quick = Quick())
        {
            var model = Model.Fit(Good(), quick);
            var result = model.Score(View(Part(1)));
            result.Dispose();
            result.Dispose();
            Throws<ObjectDisposedException>("disposed result", () => result.GetMap());
            Throws<ArgumentNullException>("null image", () => model.Score((Image)null));
            Throws<ArgumentException>("short array", () => new Image(new byte[10], Side, Side, PixelFormat.Gray8));
            Throws<ArgumentException>("short map", () => model.ScoreInto(View(Part(1)), new float[5]));
            Throws(NpadStatus.InvalidImage, "null", () => model.Score(new Image(IntPtr.Zero, 4, 4, PixelFormat.Gray8)));
            Throws(NpadStatus.InvalidImage, "width is -4", () => model.Score(new Image(Part(1), -4, 4, PixelFormat.Gray8)));
            Throws(NpadStatus.InvalidImage, "stride is -64", () => model.Score(new Image(Part(1), Side, Side, PixelFormat.Gray8, -64)));
            Throws(NpadStatus.InvalidImage, "format is 77", () => model.Score(new Image(Part(1), 4, 4, (PixelFormat)77)));
            model.Dispose();
            Throws<ObjectDisposedException>("disposed model", () => model.Score(View(Part(1))));
            Throws<ObjectDisposedException>("disposed model", () => model.Save("x"));
        }
        Throws(NpadStatus.NotEnoughImages, "1 good images", () => Model.Fit(Good(1)));
        Throws(NpadStatus.NotFound, "/none.so", () => Library.LoadPlugin("/none.so"));
        Throws<ArgumentException>("zero in a path", () => Model.Load("a\0b"));
    }

    static void Lists()
    {
        var options = Library.GetOptions();
        var size = options.Single(option => option.Name == "size");
        Check(size.Default == "240" && size.Range != "" && size.Help != "", "option");
        Check(options.Single(option => option.Name == "threads").Type == OptionType.Integer, "type");
        Check(Library.GetMethods().Any(method => method.Name == "npad" && method.Help != ""), "methods");
        Check(Library.GetDevices().Contains("cpu"), "devices");
        Library.CheckDevice("cpu");
        Throws(NpadStatus.Device, "'cuda:999' cannot be used", () => Library.CheckDevice("cuda:999"));
        Throws<ArgumentNullException>("no device", () => Library.CheckDevice(null));
        using (var set = new Options { ["size"] = "64" })
        {
            Check(set["size"] == "64" && set["npad.channels"] != "" && set["method"] == "npad", "get");
            foreach (var option in options) Check(option.Name == "size" || set[option.Name] == option.Default, option.Name);
            Throws<NpadException>("unknown option", () => set.Get("colour"));
        }
    }

    static void Getters(Model model)
    {
        Check(model.Method == "npad" && model.Backbone != "" && model.Device == "cpu", "texts");
        Check(model.InputWidth == 64 && model.InputHeight == 64 && model.ImageCount == 12, "numbers");
        Check(model.FalseAlarmRate == 0.01, "rate");
        model.WarmUp(Side, Side);
        Throws(NpadStatus.InvalidArgument, "70000", () => model.WarmUp(70000, 4));
    }

    static void Rectangles(Model model)
    {
        var bad = View(Part(200, 44));
        using (var result = model.Score(bad.WithRoi(new Roi(0, 0, 30, Side)))) Check(!result.IsAnomalous, "roi");
        Throws(NpadStatus.InvalidImage, "65", () => model.Score(bad.WithRoi(new Roi(0, 0, Side + 1, Side))));
        using (var options = Quick().SetRoi(new Roi(0, 0, 30, Side)))
        using (var within = Model.Fit(Good(), options))
        using (var result = within.Score(bad))
            Check(!result.IsAnomalous, "roi of a fit");
        var wide = Part(5).Select(v => (ushort)(v * 257)).ToArray();
        var narrow = Part(5).Select(v => (ushort)(v * 4)).ToArray();
        using (Result a = model.Score(new Image(wide, Side, Side)),
            b = model.Score(new Image(narrow, Side, Side).WithSignificantBits(10)))
            Check(Math.Abs(a.CalibratedScore - b.CalibratedScore) < 0.05, "significant bits");
        Throws(NpadStatus.InvalidImage, "bits", () => model.Score(new Image(narrow, Side, Side).WithSignificantBits(7)));
    }

    static void Versions()
    {
        var check = typeof(Library).GetMethod("CheckVersion", BindingFlags.NonPublic | BindingFlags.Static, null,
            new[] { typeof(uint) }, null);
        check.Invoke(null, new object[] { 2009u });
        foreach (var other in new[] { 1000u, 3000u, 1002000u })
            Throws(NpadStatus.WrongState, "one release", () =>
            {
                try { check.Invoke(null, new object[] { other }); }
                catch (TargetInvocationException error) { throw error.InnerException; }
            });
    }
}
