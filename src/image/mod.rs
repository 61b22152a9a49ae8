//! The caller's pixels: views of images and masks, and regions of interest.

mod format;
mod mask;
mod roi;
mod view;

pub use format::PixelFormat;
pub(crate) use mask::erode;
pub use mask::{Mask, MaskView};
pub use roi::Rectangle;
pub(crate) use view::check_mask_size;
pub use view::{ImageView, MAX_SIDE};
