using System;
using System.Text;

namespace Npad
{
    /// <summary>Text as npad takes and gives it: UTF-8 that ends with a zero byte.</summary>
    internal static unsafe class Utf8
    {
        // Half of a surrogate pair throws, since a substitute would name another file.
        private static readonly Encoding Strict = new UTF8Encoding(false, true);

        public static byte[] Bytes(string text, string name)
        {
            if (text == null) throw new ArgumentNullException(name);
            if (text.IndexOf('\0') >= 0) throw new ArgumentException("must not contain a zero character", name);
            try
            {
                return Strict.GetBytes(text + "\0");
            }
            catch (EncoderFallbackException error)
            {
                throw new ArgumentException("must not contain half of a surrogate pair", name, error);
            }
        }

        public static string Read(byte* text)
        {
            var length = 0;
            while (text[length] != 0) length++;
            return Encoding.UTF8.GetString(text, length);
        }
    }
}
