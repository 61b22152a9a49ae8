// The C# binding against the native library; a program of its own, so that Mono's compiler suffices.

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Threading;
using Npad;

static class Tests
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

    static IEnumerable<Image> Good(int count = 12) => Enumerable.Range(0, count).Select(seed => View(Part((uint)seed)));

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
            ManyThreads(model);
            Getters(model);
            PixelsOfRegions(model);
            OwnMemory(model);
            Rectangles(model);
            Cancellation(model);
            SizesDoNotWrap(model);
            PinsAreReleased(model);
            Spans(model);
        }
        ProgressStopsAFit();
        Lists();
        Logging();
        Extractors();
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
            Check(region.X < 48 && region.X + region.Width > 40 && region.Area > 10 && region.Peak > model.MapThreshold, "region");
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
        }
        finally
        {
            Directory.Delete(folder, true);
        }
        Throws(NpadStatus.NotFound, "/none", () => Model.Load("/none"));
        Throws(NpadStatus.Io, "/none/x", () => model.Save("/none/x"));
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
        using (var loose = model.WithThresholds(result.Score + 1, result.Score - 1, model.MapThreshold))
        using (var again = loose.Score(View(Part(200, 40))))
            Check(again.Verdict == Verdict.Review && loose.ReviewThreshold < loose.Threshold, "review");
        Throws(NpadStatus.InvalidArgument, "threshold is -1", () => model.WithThresholds(-1, -1, 1));
        using (var rates = new Options { ["false_alarm_rate"] = "0.3" })
        using (Model rough = model.Recalibrate(Good(), rates), same = model.Recalibrate(Good()))
            Check(rough.Threshold < same.Threshold, "recalibrated");
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

    static void ProgressStopsAFit()
    {
        var stages = new List<string>();
        using (var options = Quick())
        {
            options.SetProgress((stage, done, total) => { stages.Add(stage); return stages.Count < 4; });
            Throws(NpadStatus.Cancelled, "cancelled", () => Model.Fit(Good(), options));
            Check(stages.SequenceEqual(Enumerable.Repeat("learning", 4)), "stages");
            options.SetProgress((stage, done, total) => throw new DivideByZeroException());
            Throws<DivideByZeroException>("progress", () => Model.Fit(Good(), options));
            var totals = new List<long>();
            options.SetProgress((stage, done, total) => { if (stage == "learning") totals.Add(total); return true; });
            using (var trainer = new Trainer(options))
            {
                trainer.Expect(3);
                for (uint seed = 0; seed < 3; seed++) trainer.Add(View(Part(seed)));
                Check(totals.Count > 0 && totals.All(total => total == 3), "totals");
                Throws<ArgumentOutOfRangeException>("negative", () => trainer.Expect(-1));
                options.SetProgress(null); // the trainer keeps its own
                GC.Collect();
                trainer.Finish().Dispose();
                Throws(NpadStatus.WrongState, "finished", () => trainer.Finish());
            }
            options.SetProgress(null);
            Model.Fit(Good(), options).Dispose();
        }
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

    static void PixelsOfRegions(Model model)
    {
        IReadOnlyList<Region> regions;
        using (var result = model.Score(View(Part(200, 40))))
        {
            regions = result.GetRegions();
            float[] map = result.GetMap();
            var map8 = result.GetMap8();
            Check(map.Zip(map8, (value, small) => value > model.MapThreshold == small >= 128).All(same => same), "map in 8 bits");
            Check(regions.Count > 0, "regions");
            foreach (var region in regions)
            {
                var mask = region.GetMask();
                var runs = region.GetRuns();
                Check(mask.Length == region.Width * region.Height && mask.Count(v => v == 255) == region.Area, "mask");
                Check(runs.Sum(run => run.End - run.Begin) == region.Area, "runs");
                Check(runs.All(run => map[run.Row * Side + run.Begin] > model.MapThreshold), "runs lie in the region");
                var contour = region.GetContour();
                Check(contour.All(p => mask[(p.Y - region.Y) * region.Width + p.X - region.X] == 255), "contour");
                Check(contour.Min(p => p.X) == region.X && contour.Max(p => p.X) == region.X + region.Width - 1, "extent");
                Check(region.CalibratedPeak > 0.5f, "calibrated peak");
            }
        }
        if (regions.Count > 0) Throws<ObjectDisposedException>("disposed result", () => regions[0].GetRuns());
    }

    static void OwnMemory(Model model)
    {
        var images = new[] { View(Part(200)), View(Part(200, 40)) };
        var outputs = images.Select(_ => new Output(new float[Side * Side], new byte[Side * Side], 1)).ToArray();
        model.ScoreInto(images, outputs);
        using (var result = model.Score(images[1]))
        {
            Check(!outputs[0].IsAnomalous && outputs[1].IsAnomalous && outputs[1].RegionCount > 0, "verdicts");
            Check(outputs[1].Score == result.Score && outputs[1].Regions.Count == 1, "output");
            Check(outputs[1].Regions[0].Area == result.GetRegions()[0].Area, "region");
            var all = new Output(new float[Side * Side], null, 100);
            model.ScoreInto(images[1], all);
            Check(model.Render(images[1], all).SequenceEqual(model.Render(images[1], result)), "render");
        }
        Throws<InvalidOperationException>("no pixels", () => outputs[1].Regions[0].GetMask());
        Throws<ArgumentException>("shared", () => model.ScoreInto(images, new[] { outputs[0], outputs[0] }));
        Throws<ArgumentException>("count", () => model.ScoreInto(images, new[] { outputs[0] }));
        Throws<ArgumentNullException>("null output", () => model.ScoreInto(images, new[] { outputs[0], null }));
        Throws<ArgumentException>("short", () => model.ScoreInto(images[0], new Output(null, new byte[Side])));
        var small = new Image(new byte[16], 4, 4, PixelFormat.Gray8);
        Throws<ArgumentException>("another size", () => model.Render(small, outputs[0]));
        Throws(NpadStatus.InvalidArgument, "map", () =>
        {
            var none = new Output(null);
            model.ScoreInto(images[0], none);
            model.Render(images[0], none);
        });
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

    static void Cancellation(Model model)
    {
        using (var source = new CancellationTokenSource())
        {
            using (var result = model.ScoreAsync(View(Part(200, 40)), source.Token).Result) Check(result.IsAnomalous, "task");
            var many = Good(2000).ToList();
            source.CancelAfter(50);
            Throws<OperationCanceledException>("cancelled", () => model.Score(many, source.Token));
            Check(source.IsCancellationRequested, "the token ended the call");
            var outputs = many.Select(_ => new Output(null)).ToList();
            Throws<OperationCanceledException>("cancelled before", () => model.ScoreInto(many, outputs, source.Token));
            var task = model.ScoreAsync(View(Part(1)), source.Token);
            Throws<AggregateException>("cancelled task", () => task.Wait());
            Check(task.IsCanceled, "the task is cancelled");
        }
        using (var source = new CancellationTokenSource())
            Check(model.Score(new[] { View(Part(1)) }, source.Token).Count == 1, "not cancelled");
    }

    static void Logging()
    {
        var messages = new List<string>();
        var statuses = new List<NpadStatus>();
        var options = Quick();
        Library.SetLogHandler((level, message) =>
        {
            lock (messages) messages.Add(level + message);
            try { Library.SetLogHandler(null); }
            catch (NpadException error) { statuses.Add(error.Status); }
            throw new InvalidOperationException("ignored");
        }, LogLevel.Debug);
        Model.Fit(Good(), options).Dispose();
        Library.SetLogHandler(null);
        Check(messages.Count > 0 && messages.Any(m => m.StartsWith("Info")), "messages");
        Check(statuses.Count > 0 && statuses.All(status => status == NpadStatus.WrongState), "from the handler");
        var count = messages.Count;
        Model.Fit(Good(), options).Dispose();
        Check(messages.Count == count, "unregistered");
        Throws(NpadStatus.InvalidArgument, "level", () => Library.SetLogHandler((_, __) => { }, (LogLevel)9));
        options.Dispose();
    }

    /// <summary>Brightness and its change over squares of 4 pixels.</summary>
    sealed class Squares : IFeatureExtractor
    {
        public Exception Failure;
        public string Name { get; set; } = "squares";
        public IReadOnlyList<int> Strides => new[] { 4, 8 };
        public IReadOnlyList<int> Channels => new[] { 2, 2 };
        public IReadOnlyList<float> Mean => new[] { 0f, 0f, 0f };
        public IReadOnlyList<float> StandardDeviation => new[] { 1f, 1f, 1f };

        public void Extract(float[] input, int height, int width, float[][] outputs)
        {
            if (Failure != null) throw Failure;
            for (var tap = 0; tap < 2; tap++)
            {
                int stride = Strides[tap], cols = (width + stride - 1) / stride;
                var plane = outputs[tap].Length / 2;
                for (var y = 0; y < height; y++)
                    for (var x = 0; x < width; x++)
                    {
                        var cell = y / stride * cols + x / stride;
                        var value = input[y * width + x];
                        outputs[tap][cell] += value / (stride * stride);
                        outputs[tap][plane + cell] += value * value / (stride * stride);
                    }
            }
        }
    }

    static void Extractors()
    {
        var squares = new Squares();
        using (var options = new Options { ["size"] = "64" }.SetExtractor(squares))
        using (var model = Model.Fit(Good(), options))
        {
            GC.Collect();
            using (Result fine = model.Score(View(Part(200))), bad = model.Score(View(Part(200, 40))))
                Check(bad.Score > fine.Score && bad.IsAnomalous && model.Backbone.Contains("squares"), "extractor");
            squares.Failure = new DivideByZeroException("as planned");
            Throws<DivideByZeroException>("extractor", () => model.Score(View(Part(1))));
            Throws<DivideByZeroException>("extractor in a fit", () => Model.Fit(Good(), options));
            squares.Failure = null;
            model.Score(View(Part(1))).Dispose();
            var bytes = model.ToBytes();
            Throws(NpadStatus.UnsupportedModel, "squares", () => Model.FromBytes(bytes));
            Model.FromBytes(bytes, options).Dispose();
        }
        using (var options = new Options())
        {
            Throws(NpadStatus.Plugin, "name", () => options.SetExtractor(new Squares { Name = "No Name" }));
            Throws<ArgumentNullException>("null extractor", () => options.SetExtractor(null));
        }
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

    /// <summary>Geometries whose sizes overflow 32 or 64 bits do not pass for small ones. The pointers lead nowhere: no
    /// call may get as far as using them.</summary>
    static void SizesDoNotWrap(Model model)
    {
        var nowhere = (IntPtr)16;
        // 65537 * 65536 is 65536 in 32 bits; 3 * 38000 * 38000 is 37032704.
        Throws<ArgumentException>("32 bits", () => new Image(new byte[65536], 65537, 65536, PixelFormat.Gray8));
        Throws<ArgumentException>("64 bits", () => new Image(new byte[9], int.MaxValue, int.MaxValue, PixelFormat.Rgba8));
        Throws<ArgumentException>("64 bits", () => new Image(new float[9], int.MaxValue, int.MaxValue));
        Throws<ArgumentException>("ushort", () => new Image(new ushort[9], 65535, 65535));
        Throws<ArgumentException>("mask", () => new Mask(new byte[65536], 65537, 65536));
        Throws<ArgumentException>("stride", () => new Image(new byte[9], 4, int.MaxValue, PixelFormat.Gray8, int.MaxValue));
        var huge = new Image(nowhere, 65537, 65536, PixelFormat.Gray8);
        var wide = new Image(nowhere, 38000, 38000, PixelFormat.Gray8);
        Throws<ArgumentException>("map", () => model.ScoreInto(huge, new float[65536]));
        Throws<ArgumentException>("map in 8 bits", () => model.ScoreInto(huge, new Output(null, new byte[65536])));
        using (var result = model.Score(View(Part(1))))
            Throws<ArgumentException>("picture", () => model.Render(wide, result));
        Throws<ArgumentException>("picture of an output", () => model.Render(wide, new Output(null)));
    }

    /// <summary>A call that fails before it reaches native code leaves no array pinned.</summary>
    static void PinsAreReleased(Model model)
    {
        var arrays = new List<WeakReference>();
        // On a thread of its own, whose stack is gone when the collector looks.
        var thread = new Thread(() =>
        {
            for (var i = 0; i < 50; i++)
            {
                var pixels = new byte[Side * Side];
                arrays.Add(new WeakReference(pixels));
                Throws<ArgumentNullException>("null image", () => model.Score(new[] { View(pixels), null }));
                Throws<ArgumentNullException>("null output",
                    () => model.ScoreInto(new[] { View(pixels), View(pixels) }, new[] { new Output(null), null }));
            }
        });
        thread.Start();
        thread.Join();
        GC.Collect();
        Check(arrays.Count(array => array.IsAlive) < 25, "pinned arrays: " + arrays.Count(array => array.IsAlive));
    }

    static void Spans(Model model)
    {
#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP
        var bad = Part(200, 40);
        var map = new float[2 * Side * Side];
        var decision = model.ScoreInto(bad, Side, Side, PixelFormat.Gray8, new Span<float>(map, Side * Side, Side * Side));
        using (var result = model.Score(new ReadOnlySpan<byte>(bad), Side, Side, PixelFormat.Gray8))
        using (var loaded = Model.FromBytes(new ReadOnlySpan<byte>(model.ToBytes())))
        {
            Check(decision.Score == result.Score && loaded.Threshold == model.Threshold, "spans");
            Check(map.Skip(Side * Side).SequenceEqual(result.GetMap()) && map.Take(Side * Side).All(v => v == 0), "map");
            result.CopyMapTo(map);
            Check(map.Take(Side * Side).SequenceEqual(result.GetMap()), "copy");
            Throws<ArgumentException>("short map", () => result.CopyMapTo(new Span<float>(map, 0, 9)));
        }
        Throws<ArgumentException>("short map", () => model.ScoreInto(View(bad), new Span<float>(map, 0, 9)));
        Throws<ArgumentException>("short pixels",
            () => model.Score(new ReadOnlySpan<byte>(bad, 0, 9), 65537, 65536, PixelFormat.Gray8));
#endif
    }
}
