//! Stub.
use crate::error::Result;
use crate::image::{ImageView, PixelFormat};

impl super::Model {
    /// Stub.
    ///
    /// # Errors
    /// As score.
    pub fn warm_up(&self, width: usize, height: usize) -> Result<()> {
        let bytes = ImageView::required_bytes(width, height, width, PixelFormat::Gray8)?;
        let pixels = crate::exec::memory::try_vec(bytes, 0u8)?;
        self.score(&ImageView::new(&pixels, width, height, width, PixelFormat::Gray8)?).map(|_| ())
    }

    /// Stub.
    pub fn device(&self) -> String {
        "cpu".to_owned()
    }
}
