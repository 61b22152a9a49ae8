using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>Sizes, computed in 64 bits. Overflow throws.</summary>
    internal static class Extent
    {
        // .NET's own limit for arrays of one byte per element.
        private const long LongestArray = 0x7FFFFFC7;

        /// <summary>The number of bytes from the first to the last of an image; 0 if the geometry is invalid, which
        /// npad reports.</summary>
        public static long Bytes(int height, long stride, long row)
        {
            if (height < 1 || row < 1 || stride < row) return 0;
            return height - 1 > (long.MaxValue - row) / stride ? long.MaxValue : stride * (height - 1) + row;
        }

        /// <summary>An array of width * height * channels elements.</summary>
        public static T[] Array<T>(int width, int height, int channels)
        {
            var length = Math.Max((long)width, 0) * Math.Max((long)height, 0);
            if (length > LongestArray / channels)
                throw new ArgumentException("an image of " + width + " x " + height + " pixels with " + channels +
                    " values each is too large for an array: use the method that writes to unmanaged memory");
            return new T[length * channels];
        }

        /// <summary>Throws if a buffer has fewer elements than an image has pixels.</summary>
        public static void CheckRoom(long elements, int width, int height, int channels, string name)
        {
            var needed = (decimal)width * height * channels;
            if (elements < needed)
                throw new ArgumentException("an image of " + width + " x " + height + " pixels needs " + needed +
                    " elements, but there are " + elements, name);
        }
    }

    /// <summary>An array, or a pointer to unmanaged memory.</summary>
    internal sealed unsafe class Memory
    {
        private readonly IntPtr pointer;

        public Memory(Array array, string name)
        {
            Array = array ?? throw new ArgumentNullException(name);
        }

        public Memory(IntPtr pointer)
        {
            this.pointer = pointer;
        }

        /// <summary>Null for unmanaged memory.</summary>
        public Array Array { get; }

        /// <summary>Throws if the array is too short for the geometry, which npad cannot check. npad reports other
        /// errors.</summary>
        public void CheckLength(int height, long stride, long row)
        {
            if (Array == null) return;
            long length = Buffer.ByteLength(Array), needed = Extent.Bytes(height, stride, row);
            if (length < needed)
                throw new ArgumentException("the array holds " + length + " bytes, but its geometry needs " + needed);
        }

        /// <summary>The bytes of a buffer, which is freed.</summary>
        public static byte[] Take(npad_buffer* buffer)
        {
            try
            {
                var bytes = new byte[checked((long)(ulong)NativeMethods.npad_buffer_size(buffer))];
                Marshal.Copy((IntPtr)NativeMethods.npad_buffer_data(buffer), bytes, 0, bytes.Length);
                return bytes;
            }
            finally
            {
                NativeMethods.npad_buffer_free(buffer);
            }
        }

        public byte* Pin(Pins pins) => Array == null ? (byte*)pointer : pins.Pin(Array);
    }

    /// <summary>Arrays that are pinned until this is disposed.</summary>
    internal sealed unsafe class Pins : IDisposable
    {
        private readonly List<GCHandle> handles = new List<GCHandle>();

        /// <summary>The address of an array's first element; null for an empty array.</summary>
        public byte* Pin(Array array)
        {
            // Room first: a handle that the list cannot take would never be freed.
            if (handles.Count == handles.Capacity) handles.Capacity = Math.Max(4, 2 * handles.Capacity);
            var handle = GCHandle.Alloc(array, GCHandleType.Pinned);
            handles.Add(handle);
            return array.Length == 0 ? null : (byte*)handle.AddrOfPinnedObject();
        }

        public void Dispose()
        {
            foreach (var handle in handles) handle.Free();
            handles.Clear();
        }
    }
}
