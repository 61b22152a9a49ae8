use super::borrow;
use crate::abi::image::{npad_image, npad_mask};
use crate::abi::sized::{SizedArray, read_sized};
use crate::error::{Error, Result, Status};
use crate::image::{ImageView, MaskView, PixelFormat, Rectangle};

/// Converts a length or coordinate of the caller, which must not be negative.
fn natural(value: i64, what: &str, expected: &str) -> Result<usize> {
    usize::try_from(value).map_err(|_| invalid(format!("the {what} is {value}, but must {expected}")))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Status::InvalidImage, message)
}

/// The caller's stride in bytes; 0 means rows of `row` bytes without padding.
fn stride(value: i64, row: usize, what: &str) -> Result<usize> {
    if value == 0 { Ok(row) } else { natural(value, what, "not be negative") }
}

/// Creates the view of a mask.
///
/// # Safety
/// `mask` must be valid, and its data must cover its geometry as long as the view lives.
pub unsafe fn mask_view<'a>(mask: *const npad_mask) -> Result<MaskView<'a>> {
    let mask = unsafe { read_sized(mask) }?;
    if mask.data.is_null() {
        return Err(invalid("the mask's data pointer is null"));
    }
    let width = natural(mask.width.into(), "mask's width", "be 1 to 65535")?;
    let height = natural(mask.height.into(), "mask's height", "be 1 to 65535")?;
    let stride = stride(mask.stride, width, "mask's stride")?;
    let bytes =
        ImageView::required_bytes(width, height, stride, PixelFormat::Gray8).map_err(|e| e.context("the mask"))?;
    // SAFETY: by contract.
    MaskView::new(unsafe { std::slice::from_raw_parts(mask.data, bytes) }, width, height, stride)
}

/// Checks an image's description and creates its view.
///
/// # Safety
/// `image` must be null or valid, and its pointers must cover its geometry as long as the view lives.
pub unsafe fn image_view<'a>(image: *const npad_image) -> Result<ImageView<'a>> {
    unsafe {
        borrow(image.cast::<u8>(), "image")?;
        view_of(&read_sized(image)?)
    }
}

/// # Safety
/// The image's pointers must cover its geometry as long as the view lives.
unsafe fn view_of<'a>(image: &npad_image) -> Result<ImageView<'a>> {
    let format = PixelFormat::all().into_iter().find(|format| *format as i32 == image.format).ok_or_else(|| {
        invalid(format!("the pixel format is {}, but must be one of npad_pixel_format", image.format))
    })?;
    let pointers = &image.data[..format.planes()];
    if pointers.iter().any(|plane| plane.is_null()) {
        let of = if pointers.len() == 1 { "data pointer is null" } else { "three plane pointers must not be null" };
        return Err(invalid(format!("the image's {of}")));
    }
    let width = natural(image.width.into(), "image's width", "be 1 to 65535")?;
    let height = natural(image.height.into(), "image's height", "be 1 to 65535")?;
    let stride = stride(image.stride, width * format.bytes_per_pixel(), "image's stride")?;
    let bytes = ImageView::required_bytes(width, height, stride, format)?;
    let mut planes: [&[u8]; 3] = [&[]; 3];
    for (plane, &pointer) in planes.iter_mut().zip(pointers) {
        // SAFETY: the caller promises that each plane covers the geometry.
        *plane = unsafe { std::slice::from_raw_parts(pointer, bytes) };
    }
    let mut view = ImageView::from_planes(planes, width, height, stride, format)?;
    if image.significant_bits != 0 {
        let bits = natural(image.significant_bits.into(), "number of significant bits", "be 8 to 16, or 0 for 16")?;
        view = view.with_significant_bits(bits as u32)?;
    }
    if !image.mask.is_null() {
        view = view.with_mask(unsafe { mask_view(image.mask) }?)?;
    }
    match rectangle(image.roi_x, image.roi_y, image.roi_width, image.roi_height)? {
        None => Ok(view),
        Some(roi) => view.with_roi(roi),
    }
}

/// A rectangular region of interest; none if all four values are 0.
pub fn rectangle(x: i32, y: i32, width: i32, height: i32) -> Result<Option<Rectangle>> {
    if (x, y, width, height) == (0, 0, 0, 0) {
        return Ok(None);
    }
    let side = |value: i32| usize::try_from(value).ok();
    match (side(x), side(y), side(width), side(height)) {
        (Some(x), Some(y), Some(width @ 1..), Some(height @ 1..)) => Ok(Some(Rectangle { x, y, width, height })),
        _ => Err(invalid(format!(
            "the region of interest is {width} x {height} pixels at ({x}, {y}), but its sides must be 1 or more and \
             its corner 0 or more; all four values 0 mean the whole image"
        ))),
    }
}

/// Creates the views of an array of images, one at a time. An error names the image.
///
/// # Safety
/// `images` must be null or point to `count` valid images.
pub unsafe fn image_views<'a>(
    images: *const npad_image,
    count: usize,
) -> Result<impl ExactSizeIterator<Item = Result<ImageView<'a>>>> {
    let images = unsafe { SizedArray::new(images, count, "images") }?;
    // SAFETY: by contract.
    Ok((0..count).map(move |index| unsafe { images.get(index).and_then(|image| view_of(&image)) }))
}
