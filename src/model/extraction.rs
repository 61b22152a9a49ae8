//! From images to feature maps: preprocessing, displacement, backbone, and its outputs on one grid.

use ndarray::{ArrayView3, ArrayViewMut3};

use super::roi::{ImageRoi, InputRoi};
use crate::backbone::{Assembler, FeatureExtractor, FeatureMap, TapMap};
use crate::error::{Error, Result};
use crate::exec::memory::try_resize;
use crate::exec::progress::Cancellation;
use crate::exec::{Awake, Threads};
use crate::image::ImageView;
use crate::math::filters::shift;
use crate::method::GridScore;
use crate::preprocess::{InputSize, Preprocessor};

/// Settings of the extraction that all images of a model or a fit share.
#[derive(Clone, Copy)]
pub struct Pipeline<'a> {
    /// The network.
    pub backbone: &'a dyn FeatureExtractor,
    /// The displacements `(dy, dx)`, in pixels of the network's input, at which the features of each image are
    /// extracted.
    pub displacements: &'a [(isize, isize)],
    /// The region of interest that all images share.
    pub roi: Option<&'a InputRoi>,
    /// Width of the excluded margin along the edge of an image's own mask, in pixels of the network's input.
    pub margin: usize,
    /// The mean of the good images' tensors; empty in a fit, whose images have no masks of their own.
    pub mean: &'a [f32],
    /// The worker threads.
    pub threads: &'a Threads,
}

/// What is computed from the outputs of the backbone, or of the network that stands for the whole detector: an element for each image
/// at each displacement.
pub enum Target<'a> {
    /// The backbone's outputs on one grid.
    Features(&'a mut [FeatureMap]),
    /// The detector's outputs.
    Grids(&'a mut [GridScore]),
}

impl Target<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Features(maps) => maps.len(),
            Self::Grids(grids) => grids.len(),
        }
    }
}

/// Working memory of the extraction.
pub struct Extraction {
    preprocessor: Preprocessor,
    assembler: Assembler,
    /// The network's input for the latest image, not displaced.
    tensor: Vec<f32>,
    /// Inputs of one run of the backbone, consecutively.
    inputs: Vec<f32>,
    /// The region of interest of each image of the latest run.
    rois: Vec<ImageRoi>,
}

impl Extraction {
    /// Creates the working memory for a backbone, input size and grid.
    pub fn new(backbone: &dyn FeatureExtractor, size: InputSize, grid_step: usize) -> Self {
        Self {
            preprocessor: Preprocessor::new(size, backbone.normalisation()),
            assembler: Assembler::new(grid_step, backbone.scales()),
            tensor: Vec::new(),
            inputs: Vec::new(),
            rois: Vec::new(),
        }
    }

    /// Computes what `out` asks for of each image at each displacement, image after image, in the largest batches that the
    /// backbone supports. The worker threads are awake afterwards.
    ///
    /// # Errors
    /// With the number of the image: [`Status::Backbone`](crate::error::Status::Backbone) when the backbone fails or gives
    /// values that are not finite, [`Status::InvalidImage`](crate::error::Status::InvalidImage) when an image or its mask
    /// cannot be used, [`Status::Cancelled`](crate::error::Status::Cancelled).
    pub fn run<'a>(
        &mut self,
        images: &[ImageView<'_>],
        pipeline: Pipeline<'a>,
        cancellation: Option<&Cancellation>,
        out: Target<'_>,
    ) -> std::result::Result<Option<Awake<'a>>, (usize, Error)> {
        let load = |extraction: &mut Self, index: usize| {
            cancellation.map_or(Ok(()), Cancellation::check)?;
            extraction.load(index, &images[index], pipeline)
        };
        self.batches(images.len(), load, pipeline, out)
    }

    /// Computes the features of the loaded image at each displacement.
    ///
    /// # Errors
    /// [`Status::Backbone`](crate::error::Status::Backbone) when the backbone fails or gives values that are not finite.
    pub fn features(&mut self, pipeline: Pipeline<'_>, maps: &mut [FeatureMap]) -> Result<()> {
        self.batches(1, |_, _| Ok(()), pipeline, Target::Features(maps)).map(drop).map_err(|(_, error)| error)
    }

    /// Computes the features of an input of zeros, whose shape and taps are those of all images.
    ///
    /// # Errors
    /// As [`Extraction::features`].
    pub fn zeros(&mut self, pipeline: Pipeline<'_>, map: &mut FeatureMap) -> Result<()> {
        let size = self.preprocessor.size();
        self.tensor.clear();
        try_resize(&mut self.tensor, 3 * size.height * size.width, 0.0)?;
        self.features(pipeline, std::slice::from_mut(map))
    }

    /// Runs the backbone for `count` images, each of which `load` makes the loaded one.
    fn batches<'a>(
        &mut self,
        count: usize,
        load: impl Fn(&mut Self, usize) -> Result<()>,
        pipeline: Pipeline<'a>,
        mut out: Target<'_>,
    ) -> std::result::Result<Option<Awake<'a>>, (usize, Error)> {
        let Pipeline { backbone, displacements, threads, .. } = pipeline;
        let batch = backbone.max_batch(self.preprocessor.size()).min(out.len());
        let (mut awake, mut done, mut waiting) = (None, 0, 0);
        for index in 0..count {
            load(self, index).map_err(|error| (index, error))?;
            for &displacement in displacements {
                let alone = batch == 1 && displacement == (0, 0);
                if !alone {
                    self.displace(displacement, waiting, threads).map_err(|error| (index, error))?;
                }
                waiting += 1;
                if waiting < batch && done + waiting < out.len() {
                    continue;
                }
                // Spinning threads would take the cores from the backbone.
                drop(awake.take());
                let inputs = if alone { &self.tensor } else { &self.inputs[..waiting * self.tensor.len()] };
                let (size, assembler) = (self.preprocessor.size(), &mut self.assembler);
                let extracted = extract(backbone, inputs, size, assembler, threads, (&mut out, done));
                awake = Some(extracted.map_err(|(at, error)| ((done + at) / displacements.len(), error))?);
                done += waiting;
                waiting = 0;
            }
        }
        Ok(awake)
    }

    /// Makes image 0 of the next run's features one that has no region of interest of its own.
    pub fn reset_roi(&mut self) {
        self.rois.clear();
        self.rois.push(ImageRoi::default());
    }

    /// The network's input for the latest image, not displaced.
    pub fn tensor(&self) -> &[f32] {
        &self.tensor
    }

    /// The region of interest of an image of the latest run, or none for the whole image; `shared` is that of all
    /// images.
    pub fn roi<'a>(&'a self, index: usize, shared: Option<&'a InputRoi>) -> Option<&'a InputRoi> {
        self.rois[index].get(shared)
    }

    /// Converts image `index` of a run to the network's input. Pixels outside the mask have no influence.
    pub fn load(&mut self, index: usize, image: &ImageView<'_>, pipeline: Pipeline<'_>) -> Result<()> {
        let Pipeline { roi, margin, mean, threads, .. } = pipeline;
        let _awake = threads.awake();
        if self.rois.len() <= index {
            self.rois.resize_with(index + 1, ImageRoi::default);
        }
        let image_roi = &mut self.rois[index];
        image_roi.assign(roi, image, self.preprocessor.size(), margin, threads)?;
        let mask = image_roi.get(roi).map(|roi| &roi.mask);
        self.preprocessor.run(image, mask, threads, &mut self.tensor)?;
        image_roi.complete(&mut self.tensor, mean);
        Ok(())
    }

    /// Writes the loaded image, displaced by `(dy, dx)`, to input `number`.
    fn displace(&mut self, displacement: (isize, isize), number: usize, threads: &Threads) -> Result<()> {
        let _awake = threads.awake();
        let (size, length) = (self.preprocessor.size(), self.tensor.len());
        let end = (number + 1) * length;
        if self.inputs.len() < end {
            try_resize(&mut self.inputs, end, 0.0)?;
        }
        let input = &mut self.inputs[end - length..end];
        let shape = (3, size.height, size.width);
        let image = ArrayView3::from_shape(shape, &self.tensor).expect("three planes of the input's size");
        let input = ArrayViewMut3::from_shape(shape, input).expect("three planes of the input's size");
        shift(image, displacement, threads, input);
        Ok(())
    }
}

/// Runs the backbone once and writes what comes of its outputs from element `first` on. An error carries the number of the input that failed.
fn extract<'a>(
    backbone: &dyn FeatureExtractor,
    inputs: &[f32],
    size: InputSize,
    assembler: &mut Assembler,
    threads: &'a Threads,
    (out, first): (&mut Target<'_>, usize),
) -> std::result::Result<Awake<'a>, (usize, Error)> {
    let (mut awake, mut at) = (None, 0);
    let consume = &mut |number: usize, taps: &[TapMap<'_>]| {
        at = number;
        // Not earlier: spinning threads would take the cores from the backbone.
        awake.get_or_insert_with(|| threads.awake());
        match out {
            Target::Features(maps) => assembler.run(taps, threads, &mut maps[first + number]),
            Target::Grids(grids) => grids[first + number].read(taps),
        }
    };
    backbone.extract(inputs, size, consume).map_err(|error| (at, error))?;
    Ok(awake.unwrap_or_else(|| threads.awake()))
}
