//! The region of interest of an image in the network's input, from the model and the image.

use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_resize;
use crate::image::{ImageView, Mask, check_mask_size, erode};
use crate::preprocess::InputSize;

/// The included pixels of the image and of the network's input.
#[derive(Debug, Clone)]
pub struct InputRoi {
    /// In the image.
    pub mask: Mask,
    /// In the network's input, row after row.
    pub inside: Vec<bool>,
    /// Whether any pixel of the image is excluded. If none is, the image is scored as without a region of interest.
    pub excludes: bool,
}

impl InputRoi {
    /// The region of interest that a model was fitted with. It needs no margin, since the statistics cover its edge.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn fixed(mask: Mask, size: InputSize, threads: &Threads) -> Result<Self> {
        let mut inside = Vec::new();
        mask.resized(size.width, size.height, threads, &mut inside)?;
        let excludes = mask.excludes();
        Ok(Self { mask, inside, excludes })
    }

    /// Checks that an image of so many columns and rows has the size that the mask of the fit has.
    ///
    /// # Errors
    /// [`Status::InvalidImage`].
    pub fn check_mask(mask: &Mask, image: (usize, usize)) -> Result<()> {
        let checked = check_mask_size(mask.size(), image);
        checked.map_err(|error| error.context("the mask of the fit"))
    }
}

/// The region of interest of the current image; its memory is reused.
pub struct ImageRoi {
    /// If the image's mask or rectangle excludes pixels: the pixels that these and the model's mask include.
    own: InputRoi,
    /// The pixels that the image's own mask excludes and the model's includes; the good images' mean replaces them.
    replaced: Vec<bool>,
    scratch: Vec<bool>,
}

impl Default for ImageRoi {
    fn default() -> Self {
        let own = InputRoi { mask: Mask::unset(), inside: Vec::new(), excludes: false };
        Self { own, replaced: Vec::new(), scratch: Vec::new() }
    }
}

impl ImageRoi {
    /// Sets the region of interest of an image. The model has not learnt an edge of the image's own mask inside its own, so
    /// a margin of `margin` pixels of the input along it is excluded; the map there is interpolated.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the model's mask has another size than the image, or no pixel is left;
    /// [`Status::OutOfMemory`].
    pub fn assign(
        &mut self,
        fixed: Option<&InputRoi>,
        image: &ImageView<'_>,
        InputSize { width, height }: InputSize,
        margin: usize,
        threads: &Threads,
    ) -> Result<()> {
        self.own.excludes = false;
        if let Some(fixed) = fixed {
            InputRoi::check_mask(&fixed.mask, (image.width(), image.height()))?;
        }
        if image.mask().is_none() && image.roi().is_none() {
            return Ok(());
        }
        let Self { own: InputRoi { mask, inside, excludes }, replaced, scratch } = self;
        if !mask.assign(image, None, threads)? {
            return Ok(());
        }
        mask.resized(width, height, threads, inside)?;
        try_resize(replaced, inside.len(), false)?;
        replaced.iter_mut().zip(&*inside).for_each(|(replaced, inside)| *replaced = !inside);
        if let Some(fixed) = fixed {
            replaced.iter_mut().zip(&fixed.inside).for_each(|(replaced, known)| *replaced &= known);
            inside.iter_mut().zip(&fixed.inside).for_each(|(inside, known)| *inside |= !known);
        }
        erode(inside, width, margin, scratch)?;
        if let Some(fixed) = fixed {
            mask.assign(image, Some(&fixed.mask), threads)?;
            inside.iter_mut().zip(&fixed.inside).for_each(|(a, b)| *a &= b);
            if !inside.contains(&true) {
                mask.resized(width, height, threads, inside)?;
            }
        }
        *excludes = true;
        Ok(())
    }

    /// The region of interest, or none if no pixel is excluded; `fixed` is that of the model.
    pub fn get<'a>(&'a self, fixed: Option<&'a InputRoi>) -> Option<&'a InputRoi> {
        Some(&self.own).filter(|own| own.excludes).or(fixed.filter(|fixed| fixed.excludes))
    }

    /// Fills the tensor outside the image's own mask with the mean of the good images, shifted to this image's
    /// brightness. Any other fill would be an anomaly whose effect reaches across the mask's edge.
    pub fn complete(&self, tensor: &mut [f32], mean: &[f32]) {
        let replaced = &self.replaced;
        if !self.own.excludes || !replaced.contains(&true) {
            return;
        }
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
        "an image of the fit has a mask or a region of interest of its own; a fit takes one mask for all images: set \
         it in the options",
    )
}
