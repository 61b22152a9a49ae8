//! Views of images and masks in the caller's memory.

use safer_ffi::prelude::*;

/// A view of a mask in the caller's memory: one byte per pixel; 0 excludes the pixel, any other value includes it.
///
/// Initialise it to zero (`npad_mask mask = {0};` or memset) and set `size` first.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_mask {
    /// sizeof(npad_mask).
    pub size: usize,
    /// The first pixel of the first row.
    pub data: *const u8,
    /// Pixels per row; must be the width of the image.
    pub width: i32,
    /// Rows; must be the height of the image.
    pub height: i32,
    /// Bytes from the start of one row to the start of the next; 0 means rows without padding.
    pub stride: i64,
}

/// A view of an image in the caller's memory. npad reads the pixels during the call only.
///
/// Initialise it to zero (`npad_image image = {0};` or memset) and set `size` first. Unused fields must be 0. A
/// sub-image is a view with the stride of the whole image and a pointer to the sub-image's first pixel.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_image {
    /// sizeof(npad_image). All images of an array must have the same size value.
    pub size: usize,
    /// Pointers to the first pixel of each plane. NPAD_PIXEL_FORMAT_RGB8_PLANAR uses all three, in the order red,
    /// green, blue; the other formats use only the first.
    pub data: [*const u8; 3],
    /// Pixels per row, 1 to 65535.
    pub width: i32,
    /// Rows, 1 to 65535.
    pub height: i32,
    /// Bytes from the start of one row to the start of the next, at least the size of a row; 0 means rows without
    /// padding.
    pub stride: i64,
    /// Pixel format: one of npad_pixel_format.
    pub format: i32,
    /// For NPAD_PIXEL_FORMAT_GRAY16, the number of significant bits, 8 to 16: 10 for Mono10, 12 for Mono12. The largest
    /// value of that many bits is white; a larger value is an error. 0 means 16. Must be 0 for other formats.
    pub significant_bits: i32,
    /// Mask of the image, or null for none. Excluded pixels are ignored, their map value is 0, and no region contains them.
    /// Within two grid cells of the mask's edge (16 pixels of the network's input by default) the map is interpolated. A
    /// mask that excludes no pixel has no effect. The mean of the good images replaces what is excluded, which changes the
    /// features around it: with N-pad and PaDiM leave at least a quarter of the image's width and height, or good images
    /// become defective; with PatchCore and SPADE use a mask of the fit instead. For scoring only: a fit takes one mask for all images, see
    /// npad_options_set_mask().
    pub mask: *const npad_mask,
    /// Left edge of a rectangular region of interest, in pixels of the image. Pixels outside the rectangle are
    /// excluded, as by a mask; with a mask as well, a pixel must be included by both. All four values 0 mean the whole
    /// image. For scoring only: a fit takes one rectangle for all images, see npad_options_set_roi().
    pub roi_x: i32,
    /// Upper edge of the region of interest, in pixels of the image.
    pub roi_y: i32,
    /// Width of the region of interest, in pixels of the image.
    pub roi_width: i32,
    /// Height of the region of interest, in pixels of the image.
    pub roi_height: i32,
}
