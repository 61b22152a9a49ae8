using System;
using System.Collections.Generic;
using Npad.Native;

namespace Npad
{
    /// <summary>A run of pixels in one row, from <see cref="Begin"/> to before <see cref="End"/>.</summary>
    public readonly struct Run
    {
        internal Run(int row, int begin, int end)
        {
            (Row, Begin, End) = (row, begin, end);
        }

        public int Row { get; }
        public int Begin { get; }
        public int End { get; }
    }

    /// <summary>A pixel of an image.</summary>
    public readonly struct Pixel
    {
        internal Pixel(int x, int y)
        {
            (X, Y) = (x, y);
        }

        public int X { get; }
        public int Y { get; }
    }

    /// <summary>A connected defect region, in pixels of the image; the centre of its first pixel is at (0, 0).</summary>
    public sealed unsafe class Region
    {
        private readonly ResultHandle result;
        private readonly UIntPtr index;

        internal Region(npad_region region, ResultHandle result = null, ulong index = 0)
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
            this.result = result;
            this.index = (UIntPtr)index;
        }

        public int X { get; }
        public int Y { get; }
        public int Width { get; }
        public int Height { get; }
        public long Area { get; }
        public float CentroidX { get; }
        public float CentroidY { get; }
        /// <summary>Maximum of the anomaly map in the region.</summary>
        public float Peak { get; }
        /// <summary>The peak on the calibrated scale: 0.5 is the threshold; not clamped.</summary>
        public float CalibratedPeak { get; }

        /// <summary>The pixels as a mask of the bounding box, row after row: 255 inside the region, 0 outside. The
        /// result must not be disposed. Regions of an <see cref="Output"/> have no pixels.</summary>
        public byte[] GetMask()
        {
            npad_error* error = null;
            var mask = Extent.Array<byte>(Width, Height, 1);
            using (var use = Pixels().Borrow())
            fixed (byte* first = mask)
                NpadException.Check(NativeMethods.npad_result_region_mask(
                    (npad_result*)use.Pointer, index, first, 0, &error), error);
            return mask;
        }

        /// <summary>The pixels as runs, ordered by row, then by column. Restrictions as for
        /// <see cref="GetMask"/>.</summary>
        public IReadOnlyList<Run> GetRuns()
        {
            UIntPtr count;
            using (var use = Pixels().Borrow())
            {
                var values = NativeMethods.npad_result_region_runs((npad_result*)use.Pointer, index, &count);
                var runs = new Run[Found(values, count)];
                for (var i = 0; i < runs.Length; i++, values += 3) runs[i] = new Run(values[0], values[1], values[2]);
                return runs;
            }
        }

        /// <summary>The outer contour as a closed chain of the region's boundary pixels: 8-connected, clockwise; the
        /// first pixel is not repeated. Restrictions as for <see cref="GetMask"/>.</summary>
        public IReadOnlyList<Pixel> GetContour()
        {
            UIntPtr count;
            using (var use = Pixels().Borrow())
            {
                var values = NativeMethods.npad_result_region_contour((npad_result*)use.Pointer, index, &count);
                var pixels = new Pixel[Found(values, count)];
                for (var i = 0; i < pixels.Length; i++, values += 2) pixels[i] = new Pixel(values[0], values[1]);
                return pixels;
            }
        }

        private ResultHandle Pixels() => result ??
            throw new InvalidOperationException("regions of ScoreInto have no pixels: take those of Score");

        private static long Found(int* values, UIntPtr count) => values != null
            ? checked((long)(ulong)count)
            : throw new OutOfMemoryException("npad has no memory for the pixels of the region");
    }
}
