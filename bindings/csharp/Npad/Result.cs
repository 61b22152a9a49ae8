using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>What is to be done with an image.</summary>
    public enum Verdict
    {
        Good = 0,
        /// <summary>Somebody should look; only where a review rate or threshold is set.</summary>
        Review = 1,
        Defective = 2,
    }

    /// <summary>A connected defect region, in pixels of the image.</summary>
    public sealed class Region
    {
        internal Region(npad_region region)
        {
            X = region.x;
            Y = region.y;
            Width = region.width;
            Height = region.height;
            Area = region.area;
            CentroidX = region.centroid_x;
            CentroidY = region.centroid_y;
            Peak = region.peak;
            CalibratedPeak = region.calibrated_peak;
        }

        public int X { get; }
        public int Y { get; }
        public int Width { get; }
        public int Height { get; }
        public long Area { get; }
        public float CentroidX { get; }
        public float CentroidY { get; }
        /// <summary>The largest value of the anomaly map in the region.</summary>
        public float Peak { get; }
        /// <summary>The same on the calibrated scale: 0.5 is the map threshold.</summary>
        public float CalibratedPeak { get; }
    }

    /// <summary>Neighbouring pixels of one row of a region.</summary>
    public readonly struct Run
    {
        internal Run(int row, int first, int end)
        {
            Row = row;
            First = first;
            End = end;
        }

        public int Row { get; }
        /// <summary>The first column.</summary>
        public int First { get; }
        /// <summary>The column after the last.</summary>
        public int End { get; }
    }

    /// <summary>A pixel of a region's contour.</summary>
    public readonly struct Point
    {
        internal Point(int x, int y)
        {
            X = x;
            Y = y;
        }

        public int X { get; }
        public int Y { get; }
    }

    /// <summary>What npad says about one image. Any thread may read it.</summary>
    public sealed unsafe class Result : IDisposable
    {
        internal readonly ResultHandle Handle;

        internal Result(npad_result* owned)
        {
            Handle = new ResultHandle(owned);
            Score = NativeMethods.npad_result_score(owned);
            CalibratedScore = NativeMethods.npad_result_calibrated_score(owned);
            Verdict = (Verdict)(int)NativeMethods.npad_result_verdict(owned);
            Width = NativeMethods.npad_result_width(owned);
            Height = NativeMethods.npad_result_height(owned);
        }

        /// <summary>The raw image score: larger is more anomalous.</summary>
        public float Score { get; }
        /// <summary>0 for a typical good image, 0.5 at the threshold; not clamped.</summary>
        public float CalibratedScore { get; }
        public Verdict Verdict { get; }
        public bool IsAnomalous => Verdict == Verdict.Defective;
        public int Width { get; }
        public int Height { get; }

        /// <summary>The anomaly map in native memory: Width * Height floats, row after row, as long as this object is
        /// neither disposed of nor collected.</summary>
        public IntPtr MapPointer
        {
            get
            {
                using (var result = Handle.Borrow()) return (IntPtr)NativeMethods.npad_result_map((npad_result*)result.Pointer);
            }
        }

        /// <summary>A copy of the anomaly map: Width * Height values, row after row.</summary>
        public float[] GetMap()
        {
            var map = new float[(long)Width * Height];
            using (var result = Handle.Borrow())
                Marshal.Copy((IntPtr)NativeMethods.npad_result_map((npad_result*)result.Pointer), map, 0, map.Length);
            return map;
        }

        /// <summary>The defect regions, highest peak first.</summary>
        public IReadOnlyList<Region> GetRegions()
        {
            var regions = new List<Region>();
            using (var result = Handle.Borrow())
            {
                var native = (npad_result*)result.Pointer;
                var count = (uint)NativeMethods.npad_result_region_count(native);
                for (uint i = 0; i < count; i++)
                {
                    npad_region region;
                    npad_error* error = null;
                    NpadException.Check(NativeMethods.npad_result_region(native, (UIntPtr)i, &region, (UIntPtr)(uint)sizeof(npad_region), &error), error);
                    regions.Add(new Region(region));
                }
            }
            return regions;
        }

        /// <summary>The calibrated map in 8 bits: 128 and above is above the threshold. Width * Height bytes, row after row.</summary>
        public byte[] GetMapBytes()
        {
            var map = new byte[(long)Width * Height];
            npad_error* error = null;
            using (var result = Handle.Borrow())
            fixed (byte* first = map)
                NpadException.Check(
                    NativeMethods.npad_result_map_u8((npad_result*)result.Pointer, first, 0, &error), error);
            return map;
        }

        /// <summary>The pixels of a region in its bounding box, row after row: 255 inside, 0 outside.</summary>
        public byte[] GetRegionMask(int index)
        {
            var region = GetRegions()[index];
            var mask = new byte[(long)region.Width * region.Height];
            npad_error* error = null;
            using (var result = Handle.Borrow())
            fixed (byte* first = mask)
                NpadException.Check(NativeMethods.npad_result_region_mask(
                    (npad_result*)result.Pointer, (UIntPtr)(uint)index, first, 0, &error), error);
            return mask;
        }

        /// <summary>The pixels of a region as runs, ordered by row and column.</summary>
        public IReadOnlyList<Run> GetRegionRuns(int index)
        {
            var runs = new List<Run>();
            UIntPtr count;
            using (var result = Handle.Borrow())
            {
                var values = NativeMethods.npad_result_region_runs((npad_result*)result.Pointer, (UIntPtr)(uint)index, &count);
                for (ulong i = 0; i < (ulong)count; i++) runs.Add(new Run(values[3 * i], values[3 * i + 1], values[3 * i + 2]));
            }
            return runs;
        }

        /// <summary>The outer boundary of a region, clockwise.</summary>
        public IReadOnlyList<Point> GetRegionContour(int index)
        {
            var points = new List<Point>();
            UIntPtr count;
            using (var result = Handle.Borrow())
            {
                var values = NativeMethods.npad_result_region_contour((npad_result*)result.Pointer, (UIntPtr)(uint)index, &count);
                for (ulong i = 0; i < (ulong)count; i++) points.Add(new Point(values[2 * i], values[2 * i + 1]));
            }
            return points;
        }

        public void Dispose() => Handle.Dispose();
    }
}
