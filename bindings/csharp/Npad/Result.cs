using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>Verdict on an image.</summary>
    public enum Verdict
    {
        Good = 0,
        /// <summary>The score exceeds the review threshold only: a person should inspect the image. Returned only if a
        /// review rate or a review threshold is set.</summary>
        Review = 1,
        Defective = 2,
    }

    /// <summary>The result of scoring one image. Any thread may read it.</summary>
    public sealed unsafe class Result : IDisposable
    {
        internal readonly ResultHandle Handle;

        internal Result(ResultHandle owned)
        {
            Handle = owned;
            using (var use = owned.Borrow())
            {
                var native = (npad_result*)use.Pointer;
                Score = NativeMethods.npad_result_score(native);
                CalibratedScore = NativeMethods.npad_result_calibrated_score(native);
                Verdict = (Verdict)(int)NativeMethods.npad_result_verdict(native);
                Width = NativeMethods.npad_result_width(native);
                Height = NativeMethods.npad_result_height(native);
            }
        }

        /// <summary>The raw image score: 0 or above, larger is more anomalous.</summary>
        public float Score { get; }
        /// <summary>The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not
        /// clamped.</summary>
        public float CalibratedScore { get; }
        public Verdict Verdict { get; }
        public bool IsAnomalous => Verdict == Verdict.Defective;
        public int Width { get; }
        public int Height { get; }

        /// <summary>The anomaly map in native memory: Width * Height floats, row after row. Valid until this object is
        /// disposed or collected.</summary>
        public IntPtr MapPointer
        {
            get
            {
                using (var result = Handle.Borrow())
                    return (IntPtr)NativeMethods.npad_result_map((npad_result*)result.Pointer);
            }
        }

        /// <summary>A copy of the anomaly map: Width * Height values, row after row. For larger maps than an array can
        /// hold, see <see cref="MapPointer"/>.</summary>
        public float[] GetMap()
        {
            using (var result = Handle.Borrow())
            {
                var map = Extent.Array<float>(Width, Height, 1);
                Marshal.Copy((IntPtr)NativeMethods.npad_result_map((npad_result*)result.Pointer), map, 0, map.Length);
                return map;
            }
        }

        /// <summary>The calibrated anomaly map in 8 bits, row after row: 128 or more exactly where the map exceeds the
        /// threshold, 255 at twice the threshold's distance from a typical good image's value and above.</summary>
        public byte[] GetMap8()
        {
            var map = Extent.Array<byte>(Width, Height, 1);
            fixed (byte* first = map) WriteMap8((IntPtr)first, 0);
            return map;
        }

        /// <summary>Writes the map of <see cref="GetMap8"/> to unmanaged memory, which must cover the map's rows.
        /// <paramref name="stride"/> is in bytes; 0 means rows without padding.</summary>
        public void WriteMap8(IntPtr map, long stride = 0)
        {
            npad_error* error = null;
            using (var result = Handle.Borrow())
                NpadException.Check(NativeMethods.npad_result_map_u8(
                    (npad_result*)result.Pointer, (byte*)map, stride, &error), error);
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP
        /// <summary>Copies the anomaly map, Width * Height values, row after row.</summary>
        public void CopyMapTo(Span<float> map)
        {
            Extent.CheckRoom(map.Length, Width, Height, 1, nameof(map));
            using (var result = Handle.Borrow())
                new ReadOnlySpan<float>(NativeMethods.npad_result_map((npad_result*)result.Pointer), Width * Height)
                    .CopyTo(map);
        }
#endif

        /// <summary>The defect regions, highest peak first; may be empty.</summary>
        public IReadOnlyList<Region> GetRegions()
        {
            var regions = new List<Region>();
            using (var result = Handle.Borrow())
            {
                var native = (npad_result*)result.Pointer;
                var count = (ulong)NativeMethods.npad_result_region_count(native);
                for (ulong i = 0; i < count; i++)
                {
                    npad_region region;
                    npad_error* error = null;
                    NpadException.Check(NativeMethods.npad_result_region(
                        native, (UIntPtr)i, &region, (UIntPtr)(uint)sizeof(npad_region), &error), error);
                    regions.Add(new Region(region, Handle, i));
                }
            }
            return regions;
        }

        public void Dispose() => Handle.Dispose();
    }
}
