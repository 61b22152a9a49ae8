using System;
using System.Collections.Generic;
using Npad.Native;

namespace Npad
{
    /// <summary>Pixel formats.</summary>
    public enum PixelFormat
    {
        Gray8 = 0,
        Rgb8 = 1,
        /// <summary>The order of Windows and OpenCV.</summary>
        Bgr8 = 2,
        /// <summary>65535 is white, or the largest value of <see cref="Image.WithSignificantBits"/>.</summary>
        Gray16 = 3,
        Rgba8 = 4,
        Bgra8 = 5,
        /// <summary>1 is white.</summary>
        GrayF32 = 6,
        /// <summary>Three planes, the layout of HALCON. See <see cref="Image.Planar"/>.</summary>
        Rgb8Planar = 7,
    }

    /// <summary>A rectangle of an image, in pixels.</summary>
    public readonly struct Roi
    {
        public Roi(int x, int y, int width, int height)
        {
            (X, Y, Width, Height) = (x, y, width, height);
        }

        public int X { get; }
        public int Y { get; }
        public int Width { get; }
        public int Height { get; }
    }

    /// <summary>A mask: one byte per pixel; 0 excludes the pixel, any other value includes it. Nothing is copied.</summary>
    public sealed class Mask
    {
        private readonly Memory pixels;
        private readonly int width, height;
        private readonly long stride;

        public Mask(byte[] pixels, int width, int height, int stride = 0)
            : this(new Memory(pixels, nameof(pixels)), width, height, stride)
        {
            this.pixels.CheckLength(height, stride == 0 ? width : stride, width);
        }

        /// <summary>A mask in unmanaged memory, which must cover the geometry.</summary>
        public Mask(IntPtr pixels, int width, int height, int stride = 0)
            : this(new Memory(pixels), width, height, stride) { }

        private Mask(Memory pixels, int width, int height, long stride)
        {
            this.pixels = pixels;
            this.width = width;
            this.height = height;
            this.stride = stride;
        }

        internal unsafe npad_mask Native(Pins pins) => new npad_mask
        {
            size = (UIntPtr)(uint)sizeof(npad_mask),
            data = pixels.Pin(pins),
            width = width,
            height = height,
            stride = stride,
        };
    }

    /// <summary>A view of pixels in an array or in unmanaged memory, without a copy. npad reads them during calls
    /// only.</summary>
    public sealed class Image
    {
        private readonly Memory[] planes;
        private readonly long stride;
        private Mask mask;
        private Roi roi;
        private int significantBits;

        private Image(Memory[] planes, int width, int height, PixelFormat format, long stride)
        {
            this.planes = planes;
            Width = width;
            Height = height;
            Format = format;
            this.stride = stride;
            if (planes.Length == 3) return;
            if (format == PixelFormat.Rgb8Planar)
                throw new ArgumentException("three planes are needed: use Image.Planar", nameof(format));
            var row = Math.Max((long)width, 0) * PixelSize(format);
            planes[0].CheckLength(height, stride == 0 ? row : stride, row);
        }

        /// <summary>Pixels in an array. <paramref name="stride"/> is in bytes; 0 means rows without padding.</summary>
        public Image(byte[] pixels, int width, int height, PixelFormat format, int stride = 0)
            : this(new[] { new Memory(pixels, nameof(pixels)) }, width, height, format, stride) { }

        /// <summary>16-bit grey values; 65535 is white.</summary>
        public Image(ushort[] pixels, int width, int height)
            : this(new[] { new Memory(pixels, nameof(pixels)) }, width, height, PixelFormat.Gray16, 0) { }

        /// <summary>Grey values from 0 to 1.</summary>
        public Image(float[] pixels, int width, int height)
            : this(new[] { new Memory(pixels, nameof(pixels)) }, width, height, PixelFormat.GrayF32, 0) { }

        /// <summary>Pixels in unmanaged memory, which must cover the geometry.</summary>
        public Image(IntPtr pixels, int width, int height, PixelFormat format, int stride = 0)
            : this(new[] { new Memory(pixels) }, width, height, format, stride) { }

        /// <summary>Three planes of one byte per pixel in unmanaged memory.</summary>
        public static Image Planar(IntPtr red, IntPtr green, IntPtr blue, int width, int height, int stride = 0) =>
            new Image(new[] { new Memory(red), new Memory(green), new Memory(blue) }, width, height,
                PixelFormat.Rgb8Planar, stride);

        public int Width { get; }
        public int Height { get; }
        public PixelFormat Format { get; }

        /// <summary>The same view with a mask, for scoring. A fit takes one mask for all images, see
        /// <see cref="Options.SetMask"/>.</summary>
        public Image WithMask(Mask value) => With(image => image.mask = value);

        /// <summary>The same view with a rectangular region of interest, for scoring. A fit takes one for all images, see
        /// <see cref="Options.SetRoi"/>.</summary>
        public Image WithRoi(Roi value) => With(image => image.roi = value);

        /// <summary>The same view with the number of significant bits of Gray16, 8 to 16: 10 for Mono10, 12 for Mono12.
        /// The largest value of that many bits is white.</summary>
        public Image WithSignificantBits(int value) => With(image => image.significantBits = value);

        private Image With(Action<Image> change)
        {
            var copy = (Image)MemberwiseClone();
            change(copy);
            return copy;
        }

        internal static int PixelSize(PixelFormat format) =>
            format == PixelFormat.Gray8 || format == PixelFormat.Rgb8Planar ? 1
            : format == PixelFormat.Gray16 ? 2
            : format == PixelFormat.Rgb8 || format == PixelFormat.Bgr8 ? 3 : 4;

        /// <summary>Native views of images, whose pixels stay where they are until it is disposed of.</summary>
        internal sealed unsafe class Pinned : IDisposable
        {
            private readonly Pins pins = new Pins();

            public Pinned(Image image) : this(new[] { image ?? throw new ArgumentNullException(nameof(image)) }) { }

            public Pinned(IReadOnlyList<Image> images)
            {
                if (images == null) throw new ArgumentNullException(nameof(images));
                // A list of the caller's may change; what is checked here must be what is pinned.
                var all = new Image[images.Count];
                for (var i = 0; i < all.Length; i++)
                    all[i] = images[i] ?? throw new ArgumentNullException(nameof(images), "image " + i + " is null");
                Count = (UIntPtr)(uint)all.Length;
                try
                {
                    var masks = new npad_mask[all.Length];
                    var views = new npad_image[all.Length];
                    var firstMask = (npad_mask*)pins.Pin(masks);
                    First = (npad_image*)pins.Pin(views);
                    for (var i = 0; i < all.Length; i++)
                    {
                        First[i] = all[i].Native(pins);
                        if (all[i].mask == null) continue;
                        firstMask[i] = all[i].mask.Native(pins);
                        First[i].mask = firstMask + i;
                    }
                }
                catch
                {
                    pins.Dispose();
                    throw;
                }
            }

            public npad_image* First { get; }
            public UIntPtr Count { get; }

            public void Dispose() => pins.Dispose();
        }

        private unsafe npad_image Native(Pins pins)
        {
            var view = new npad_image
            {
                size = (UIntPtr)(uint)sizeof(npad_image),
                data0 = planes[0].Pin(pins),
                width = Width,
                height = Height,
                stride = stride,
                format = (int)Format,
                significant_bits = significantBits,
                roi_x = roi.X,
                roi_y = roi.Y,
                roi_width = roi.Width,
                roi_height = roi.Height,
            };
            if (planes.Length < 3) return view;
            view.data1 = planes[1].Pin(pins);
            view.data2 = planes[2].Pin(pins);
            return view;
        }
    }
}
