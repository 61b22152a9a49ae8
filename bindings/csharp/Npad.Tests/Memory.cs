// Memory that crosses the boundary: pixels of regions, the host's own buffers, sizes, pins and spans.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Npad;

static partial class Tests
{
    static void PixelsOfRegions(Model model)
    {
        IReadOnlyList<Region> regions;
        using (var result = model.Score(View(Part(200, 40))))
        {
            regions = result.GetRegions();
            float[] map = result.GetMap();
            var map8 = result.GetMap8();
            Check(map.Zip(map8, (value, small) => value > model.Threshold == small >= 128).All(same => same), "map in 8 bits");
            Check(regions.Count > 0, "regions");
            foreach (var region in regions)
            {
                var mask = region.GetMask();
                var runs = region.GetRuns();
                Check(mask.Length == region.Width * region.Height && mask.Count(v => v == 255) == region.Area, "mask");
                Check(runs.Sum(run => run.End - run.Begin) == region.Area, "runs");
                Check(runs.All(run => map[run.Row * Side + run.Begin] > model.Threshold), "runs lie in the region");
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
