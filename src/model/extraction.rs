//! From pixels to feature maps: preprocessing, displacement, backbone, and its outputs on one grid.

use super::roi::InputRoi;
use crate::backbone::{Assembler, FeatureExtractor, FeatureMap, TapMap};
use crate::error::{Error, Result};
use crate::exec::{Awake, Threads};
use crate::image::ImageView;
use crate::math::filters::shift;
use crate::preprocess::{InputSize, Preprocessor};

/// Working memory of turning images into feature maps.
pub struct Extraction {
    preprocessor: Preprocessor,
    tensor: Vec<f32>,
    /// Inputs that wait for the backbone, one after the other.
    waiting: Vec<f32>,
    count: usize,
    assembler: Assembler,
}

impl Extraction {
    /// For one backbone, input size and grid.
    pub fn new(backbone: &dyn FeatureExtractor, size: InputSize, grid_step: usize) -> Self {
        Self {
            preprocessor: Preprocessor::new(size, backbone.normalisation()),
            tensor: Vec::new(),
            waiting: Vec::new(),
            count: 0,
            assembler: Assembler::new(grid_step),
        }
    }

    /// Forgets what waits, which an error may have left.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Takes the next image; of its pixels, only those inside the mask have an influence. `mean` is that of the good
    /// images' tensors.
    pub fn load(
        &mut self,
        image: &ImageView<'_>,
        roi: Option<&InputRoi>,
        mean: &[f32],
        threads: &Threads,
    ) -> Result<()> {
        let _awake = threads.awake();
        self.preprocessor.run(image, roi.map(|roi| &roi.mask), threads, &mut self.tensor)?;
        if let Some(roi) = roi {
            roi.complete(&mut self.tensor, mean);
        }
        Ok(())
    }

    /// The network's input for the image, before any displacement.
    pub fn tensor(&self) -> &[f32] {
        &self.tensor
    }

    /// The features of the image moved by `(dy, dx)`. The threads are awake when they have come.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the backbone fails or gives values that are not finite.
    pub fn features<'a>(
        &mut self,
        backbone: &dyn FeatureExtractor,
        displacement: (isize, isize),
        threads: &'a Threads,
        out: &mut FeatureMap,
    ) -> Result<Awake<'a>> {
        let out = std::slice::from_mut(out);
        if displacement != (0, 0) {
            self.push(displacement, threads);
            return self.run(backbone, threads, out).map_err(|(_, error)| error);
        }
        let size = self.preprocessor.size();
        extract(backbone, &self.tensor, size, &mut self.assembler, threads, out).map_err(|(_, error)| error)
    }

    /// Lets the image moved by `(dy, dx)` wait for [`Extraction::run`].
    pub fn push(&mut self, displacement: (isize, isize), threads: &Threads) {
        let _awake = threads.awake();
        let (size, length) = (self.preprocessor.size(), self.tensor.len());
        let start = self.count * length;
        self.waiting.resize(self.waiting.len().max(start + length), 0.0);
        shift(&self.tensor, size.height, size.width, displacement, threads, &mut self.waiting[start..][..length]);
        self.count += 1;
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.count
    }

    /// The features of all that waits, in one run of the backbone. The threads are awake when they have come.
    ///
    /// # Errors
    /// As [`Extraction::features`], with the number of the first that failed.
    pub fn run<'a>(
        &mut self,
        backbone: &dyn FeatureExtractor,
        threads: &'a Threads,
        out: &mut [FeatureMap],
    ) -> std::result::Result<Awake<'a>, (usize, Error)> {
        let inputs = &self.waiting[..self.count * self.tensor.len()];
        self.count = 0;
        extract(backbone, inputs, self.preprocessor.size(), &mut self.assembler, threads, out)
    }
}

fn extract<'a>(
    backbone: &dyn FeatureExtractor,
    inputs: &[f32],
    size: InputSize,
    assembler: &mut Assembler,
    threads: &'a Threads,
    out: &mut [FeatureMap],
) -> std::result::Result<Awake<'a>, (usize, Error)> {
    let (mut awake, mut at) = (None, 0);
    let consume = &mut |number: usize, taps: &[TapMap<'_>]| {
        at = number;
        // Not earlier: helpers that wait would take the cores from the backbone.
        awake.get_or_insert_with(|| threads.awake());
        assembler.run(taps, threads, &mut out[number])
    };
    backbone.extract(inputs, size, consume).map_err(|error| (at, error))?;
    Ok(awake.unwrap_or_else(|| threads.awake()))
}
