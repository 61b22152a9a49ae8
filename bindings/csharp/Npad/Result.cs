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
            var map = new float[Width * Height];
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
                    NpadException.Check(NativeMethods.npad_result_region(native, (UIntPtr)i, &region, &error), error);
                    regions.Add(new Region(region));
                }
            }
            return regions;
        }

        public void Dispose() => Handle.Dispose();
    }
}
