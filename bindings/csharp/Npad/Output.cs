using System;
using System.Collections.Generic;
using System.Linq;
using Npad.Native;

namespace Npad
{
    /// <summary>The caller's memory for the result of one image, see <see cref="Model.ScoreInto(Image, Output)"/>. Two
    /// calls must not use one output at once.</summary>
    public sealed unsafe class Output
    {
        private readonly Memory map, map8;
        private readonly long mapStride, map8Stride;
        private readonly npad_region[] regions;

        /// <summary>Arrays for the anomaly map and the calibrated map in 8 bits, Width * Height values of the image
        /// each; null for none. The first <paramref name="maxRegions"/> regions are stored.</summary>
        public Output(float[] map, byte[] map8 = null, int maxRegions = 0)
            : this(map == null ? null : new Memory(map, nameof(map)), 0,
                map8 == null ? null : new Memory(map8, nameof(map8)), 0, maxRegions) { }

        /// <summary>Unmanaged memory for the maps, which must cover the image's rows. Strides are in bytes; 0 means
        /// rows without padding. <see cref="IntPtr.Zero"/> for none.</summary>
        public Output(IntPtr map, long mapStride, IntPtr map8, long map8Stride, int maxRegions = 0)
            : this(new Memory(map), mapStride, new Memory(map8), map8Stride, maxRegions) { }

        private Output(Memory map, long mapStride, Memory map8, long map8Stride, int maxRegions)
        {
            if (maxRegions < 0)
                throw new ArgumentOutOfRangeException(nameof(maxRegions), maxRegions, "must be 0 or more");
            this.map = map;
            this.mapStride = mapStride;
            this.map8 = map8;
            this.map8Stride = map8Stride;
            regions = new npad_region[maxRegions];
            Regions = new Region[0];
        }

        /// <summary>The raw image score: 0 or above, larger is more anomalous.</summary>
        public float Score { get; private set; }
        /// <summary>The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not
        /// clamped.</summary>
        public float CalibratedScore { get; private set; }
        public Verdict Verdict { get; private set; }
        public bool IsAnomalous => Verdict == Verdict.Defective;
        /// <summary>The total number of defect regions, which may exceed the number stored.</summary>
        public long RegionCount { get; private set; }
        /// <summary>The first regions, highest peak first.</summary>
        public IReadOnlyList<Region> Regions { get; private set; }

        // Of the image that was scored last.
        private int width, height;

        /// <summary>Native descriptions of outputs, whose memory is pinned until this is disposed.</summary>
        internal sealed class Pinned : IDisposable
        {
            private readonly Pins pins = new Pins();
            private readonly Output[] outputs;
            private readonly IReadOnlyList<Image> images;

            public Pinned(IReadOnlyList<Output> given, IReadOnlyList<Image> images)
            {
                if (given == null) throw new ArgumentNullException("outputs");
                outputs = given.ToArray();
                this.images = images;
                if (outputs.Length != images.Count)
                    throw new ArgumentException(
                        "there are " + outputs.Length + " outputs for " + images.Count + " images", "outputs");
                for (var i = 0; i < outputs.Length; i++) Check(outputs[i], images[i]);
                if (outputs.Distinct().Count() != outputs.Length)
                    throw new ArgumentException("two images have the same output: give each image its own", "outputs");
                var arrays = outputs.SelectMany(o => new[] { o.map?.Array, o.map8?.Array, o.regions })
                    .Where(array => array != null && array.Length > 0).ToList();
                if (arrays.Distinct().Count() != arrays.Count)
                    throw new ArgumentException("two outputs share an array: give each image its own", "outputs");
                try
                {
                    First = (npad_output*)pins.Pin(new npad_output[outputs.Length]);
                    for (var i = 0; i < outputs.Length; i++) First[i] = outputs[i].Native(pins);
                }
                catch
                {
                    pins.Dispose();
                    throw;
                }
            }

            public npad_output* First { get; }

            private static void Check(Output output, Image image)
            {
                if (output == null) throw new ArgumentNullException("outputs");
                if (image == null) throw new ArgumentNullException("images");
                if (output.map?.Array != null)
                    Extent.CheckRoom(output.map.Array.LongLength, image.Width, image.Height, 1, "map");
                if (output.map8?.Array != null)
                    Extent.CheckRoom(output.map8.Array.LongLength, image.Width, image.Height, 1, "map8");
            }

            /// <summary>Stores the results of a successful call.</summary>
            public void Take()
            {
                for (var i = 0; i < outputs.Length; i++) outputs[i].Take(First[i], images[i]);
            }

            public void Dispose() => pins.Dispose();
        }

        /// <summary>The native description of the results of the last call.</summary>
        internal npad_output Written(Pins pins, Image image)
        {
            if (image.Width != width || image.Height != height)
                throw new ArgumentException("the output is that of an image of " + width + " x " + height +
                    " pixels, but this one has " + image.Width + " x " + image.Height);
            var native = Native(pins);
            native.region_count = (UIntPtr)(ulong)RegionCount;
            return native;
        }

        private npad_output Native(Pins pins) => new npad_output
        {
            size = (UIntPtr)(uint)sizeof(npad_output),
            map = map == null ? null : (float*)map.Pin(pins),
            map_stride = mapStride,
            map_u8 = map8 == null ? null : map8.Pin(pins),
            map_u8_stride = map8Stride,
            regions = (npad_region*)pins.Pin(regions),
            region_size = (UIntPtr)(uint)sizeof(npad_region),
            region_capacity = (UIntPtr)(uint)regions.Length,
        };

        private void Take(npad_output native, Image image)
        {
            (width, height) = (image.Width, image.Height);
            Score = native.score;
            CalibratedScore = native.calibrated_score;
            Verdict = (Verdict)native.verdict;
            RegionCount = checked((long)(ulong)native.region_count);
            Regions = regions.Take((int)Math.Min(RegionCount, regions.Length)).Select(r => new Region(r)).ToArray();
        }
    }
}
