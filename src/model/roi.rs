//! The region of interest of an image in the network's input: that of the model and the image's own.

use std::borrow::Cow;

use crate::error::{Error, Result, Status};
use crate::image::mask::{Mask, erode};
use crate::image::{ImageView, other_mask_size};
use crate::preprocess::InputSize;

/// Which pixels of the image and of the network's input count.
#[derive(Debug, Clone)]
pub struct InputRoi {
    /// In the image.
    pub mask: Mask,
    /// In the network's input, row after row.
    pub cover: Vec<bool>,
    /// What of the network's input an image's own mask leaves out, and so the good images' mean stands in for.
    replaced: Option<Vec<bool>>,
}

impl InputRoi {
    /// The region of interest that a model was fitted with: its statistics know the edge, so all of it counts.
    pub fn fixed(mask: Mask, size: InputSize) -> Self {
        Self { cover: mask.cover(size.width, size.height), mask, replaced: None }
    }

    /// What counts of one image. An image's own mask is new to the model, so positions that see its edge are left out,
    /// `margin` pixels of the input wide; the map there comes from their neighbours.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the model's mask has another size than the image, or no pixel is left.
    pub fn of<'a>(
        fixed: Option<&'a Self>,
        image: &ImageView<'_>,
        size: InputSize,
        margin: usize,
    ) -> Result<Option<Cow<'a, Self>>> {
        let image_size = (image.width(), image.height());
        if let Some(fixed) = fixed.filter(|fixed| fixed.mask.size() != image_size) {
            return Err(other_mask_size(fixed.mask.size(), image_size).context("the mask of the fit"));
        }
        let Some(view) = image.mask() else { return Ok(fixed.map(Cow::Borrowed)) };
        let mut mask = Mask::new(view)?;
        let mut cover = mask.cover(size.width, size.height);
        let replaced = cover.iter().map(|inside| !inside).collect();
        erode(&mut cover, size.width, margin);
        if let Some(fixed) = fixed {
            mask = mask.and(&fixed.mask)?;
            cover.iter_mut().zip(&fixed.cover).for_each(|(a, b)| *a &= b);
            if !cover.contains(&true) {
                cover = mask.cover(size.width, size.height);
            }
        }
        Ok(Some(Cow::Owned(Self { mask, cover, replaced: Some(replaced) })))
    }

    /// Puts the mean of the good images, as bright as this one, where an image's own mask leaves its tensor empty: to the
    /// statistics, anything else there would be a defect that reaches over the mask's edge.
    pub fn complete(&self, tensor: &mut [f32], mean: &[f32]) {
        let Some(replaced) = &self.replaced else { return };
        for (plane, mean) in tensor.chunks_exact_mut(replaced.len()).zip(mean.chunks_exact(replaced.len())) {
            let kept =
                || plane.iter().zip(mean).zip(replaced).filter(|(_, replaced)| !**replaced).map(|(pair, _)| pair);
            let offset = kept().map(|(v, m)| f64::from(v - m)).sum::<f64>() / kept().count().max(1) as f64;
            let empty = plane.iter_mut().zip(mean).zip(replaced).filter(|(_, replaced)| **replaced);
            empty.for_each(|((v, m), _)| *v = m + offset as f32);
        }
    }
}

/// The error for a mask of a single image in a fit.
pub fn own_mask_in_a_fit() -> Error {
    Error::new(
        Status::InvalidImage,
        "an image to learn from has a mask of its own; a fit takes one mask for all images, which belongs in its options",
    )
}
