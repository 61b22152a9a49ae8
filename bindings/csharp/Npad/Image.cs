using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>How pixels lie in memory.</summary>
    public enum PixelFormat
    {
        Gray8 = 0,
        Rgb8 = 1,
        /// <summary>Windows' and OpenCV's order.</summary>
        Bgr8 = 2,
        /// <summary>65535 is white.</summary>
        Gray16 = 3,
        Rgba8 = 4,
        Bgra8 = 5,
        /// <summary>1 is white.</summary>
        GrayF32 = 6,
        /// <summary>Three planes: HALCON's layout. See <see cref="Image.Planar"/>.</summary>
        Rgb8Planar = 7,
    }

    /// <summary>A region of interest: one byte a pixel, 0 leaves it out, anything else keeps it. Nothing is copied.</summary>
    public sealed class Mask
    {
        internal readonly Memory Pixels;
        internal readonly int Width, Height;
        internal readonly long Stride;

        public Mask(byte[] pixels, int width, int height, int stride = 0)
        {
            Pixels = new Memory(pixels, nameof(pixels));
            (Width, Height, Stride) = (width, height, stride);
            Pixels.CheckLength(height, stride == 0 ? width : stride, width);
        }

        public Mask(IntPtr pixels, int width, int height, int stride = 0)
        {
            Pixels = new Memory(pixels);
            (Width, Height, Stride) = (width, height, stride);
        }
    }

    /// <summary>A view of pixels in an array or in unmanaged memory, which npad reads during the calls that it is given
    /// to. Nothing is copied.</summary>
    public sealed class Image
    {
        private readonly Memory[] planes;
        private readonly long stride;
        private readonly Mask mask;

        private Image(Memory[] planes, int width, int height, PixelFormat format, long stride, Mask mask)
        {
            this.planes = planes;
            Width = width;
            Height = height;
            Format = format;
            this.stride = stride;
            this.mask = mask;
        }

        /// <summary>Pixels in an array; <paramref name="stride"/> is in bytes, 0 stands for rows without padding.</summary>
        public Image(byte[] pixels, int width, int height, PixelFormat format, int stride = 0)
            : this(new[] { new Memory(pixels, nameof(pixels)) }, width, height, format, stride, null)
        {
            CheckLength();
        }

        /// <summary>16-bit grey values, 65535 is white.</summary>
        public Image(ushort[] pixels, int width, int height)
            : this(new[] { new Memory(pixels, nameof(pixels)) }, width, height, PixelFormat.Gray16, 0, null)
        {
            CheckLength();
        }

        /// <summary>Grey values from 0 to 1.</summary>
        public Image(float[] pixels, int width, int height)
            : this(new[] { new Memory(pixels, nameof(pixels)) }, width, height, PixelFormat.GrayF32, 0, null)
        {
            CheckLength();
        }

        /// <summary>Pixels in unmanaged memory, which must be as large as the geometry says.</summary>
        public Image(IntPtr pixels, int width, int height, PixelFormat format, int stride = 0)
            : this(new[] { new Memory(pixels) }, width, height, format, stride, null) { }

        /// <summary>Three planes of one byte a pixel in unmanaged memory.</summary>
        public static Image Planar(IntPtr red, IntPtr green, IntPtr blue, int width, int height, int stride = 0) =>
            new Image(new[] { new Memory(red), new Memory(green), new Memory(blue) }, width, height,
                PixelFormat.Rgb8Planar, stride, null);

        public int Width { get; }
        public int Height { get; }
        public PixelFormat Format { get; }

        /// <summary>The same view with a region of interest, for scoring.</summary>
        public Image WithMask(Mask region) => new Image(planes, Width, Height, Format, stride, region);

        /// <summary>npad trusts the geometry, so an array that is too short for it must not get there.</summary>
        private void CheckLength()
        {
            if (Format == PixelFormat.Rgb8Planar)
                throw new ArgumentException("three planes are needed: use Image.Planar", nameof(Format));
            var size = Format == PixelFormat.Gray8 ? 1
                : Format == PixelFormat.Gray16 ? 2
                : Format == PixelFormat.Rgb8 || Format == PixelFormat.Bgr8 ? 3 : 4;
            planes[0].CheckLength(Height, stride == 0 ? (long)Width * size : stride, (long)Width * size);
        }

        /// <summary>Native views of images, whose pixels stay where they are until it is disposed of.</summary>
        internal sealed unsafe class Pinned : IDisposable
        {
            private readonly List<GCHandle> pins = new List<GCHandle>();
            private readonly npad_mask[] masks;
            private readonly npad_image[] views;

            public Pinned(IReadOnlyList<Image> images)
            {
                masks = new npad_mask[images.Count];
                views = new npad_image[images.Count];
                pins.Add(GCHandle.Alloc(masks, GCHandleType.Pinned));
                pins.Add(GCHandle.Alloc(views, GCHandleType.Pinned));
                for (var i = 0; i < images.Count; i++)
                {
                    var image = images[i] ?? throw new ArgumentNullException("images[" + i + "]");
                    views[i].width = image.Width;
                    views[i].height = image.Height;
                    views[i].stride = image.stride;
                    views[i].format = (int)image.Format;
                    views[i].data0 = image.planes[0].Pin(pins);
                    if (image.planes.Length == 3)
                    {
                        views[i].data1 = image.planes[1].Pin(pins);
                        views[i].data2 = image.planes[2].Pin(pins);
                    }
                    if (image.mask == null) continue;
                    masks[i] = Native(image.mask, pins);
                    views[i].mask = (npad_mask*)Marshal.UnsafeAddrOfPinnedArrayElement(masks, i);
                }
            }

            public npad_image* First => (npad_image*)Marshal.UnsafeAddrOfPinnedArrayElement(views, 0);
            public UIntPtr Count => (UIntPtr)(uint)views.Length;

            public static npad_mask Native(Mask mask, List<GCHandle> pins) => new npad_mask
            {
                data = mask.Pixels.Pin(pins), width = mask.Width, height = mask.Height, stride = mask.Stride,
            };

            public void Dispose() => pins.ForEach(pin => pin.Free());
        }
    }

    /// <summary>An array, or a pointer to unmanaged memory.</summary>
    internal sealed unsafe class Memory
    {
        private readonly Array array;
        private readonly IntPtr pointer;

        public Memory(Array array, string name)
        {
            this.array = array ?? throw new ArgumentNullException(name);
        }

        public Memory(IntPtr pointer)
        {
            this.pointer = pointer;
        }

        /// <summary>Other things that are wrong with the geometry are npad's to tell.</summary>
        public void CheckLength(int height, long stride, long row)
        {
            if (height < 1 || row < 1 || stride < row) return;
            var needed = stride * (height - 1) + row;
            long length = Buffer.ByteLength(array);
            if (length < needed)
                throw new ArgumentException("the array holds " + length + " bytes, but its geometry needs " + needed);
        }

        public byte* Pin(List<GCHandle> pins)
        {
            if (array == null) return (byte*)pointer;
            var pin = GCHandle.Alloc(array, GCHandleType.Pinned);
            pins.Add(pin);
            return (byte*)pin.AddrOfPinnedObject();
        }
    }
}
