//! The configuration of a fit, and what follows from it and the first image.

use std::sync::Arc;

use crate::backbone::{FeatureExtractor, Scales};
use crate::error::Result;
use crate::exec::Threads;
use crate::exec::memory::try_vec;
use crate::image::{ImageView, Mask, Rectangle};
use crate::method::{Method, Parameters};
use crate::model::extraction::Extraction;
use crate::model::options::Day;
use crate::model::roi::InputRoi;
use crate::model::{MapOptions, ThresholdRule};
use crate::preprocess::{Geometry, InputSize};

/// Configuration of a fit, whether new or resumed.
pub struct FitConfig {
    pub(super) method: &'static dyn Method,
    pub(super) parameters: Parameters,
    pub(super) shifts: Vec<(isize, isize)>,
    pub(super) geometry: Geometry,
    pub(super) scales: Scales,
    /// Whether `geometry` is the size at scale 1; that of a resumed fit is at the largest scale.
    pub(super) enlarge: bool,
    pub(super) grid_step: usize,
    pub(super) tile: usize,
    pub(super) output: MapOptions,
    pub(super) seed: u64,
    pub(super) rates: (f64, f64),
    pub(super) date: Day,
    pub(super) threshold_rule: ThresholdRule,
    pub(super) mask: Option<Arc<Mask>>,
    pub(super) roi: Option<Rectangle>,
}

/// State that depends on the first image.
pub struct Input {
    pub(super) size: InputSize,
    /// Columns and rows of the first image.
    pub(super) first: (usize, usize),
    /// The backbone's coarsest stride.
    stride: usize,
    pub(super) roi: Option<InputRoi>,
    pub(super) extraction: Extraction,
}

impl FitConfig {
    /// The pixels that the mask and the rectangle of the fit include, for images of so many columns and rows.
    fn mask_of(&self, image: (usize, usize)) -> Result<Option<Mask>> {
        let mask = self.mask.as_deref();
        mask.map_or(Ok(()), |mask| InputRoi::check_mask(mask, image))?;
        let Some(roi) = self.roi else { return Ok(mask.cloned()) };
        let rectangle = Mask::rectangle(image.0, image.1, roi);
        let rectangle = rectangle.map_err(|error| error.context("the fit's region of interest"))?;
        Ok(Some(match mask {
            Some(mask) => rectangle.and(mask)?,
            None => rectangle,
        }))
    }

    /// The state for a first image of so many columns and rows.
    pub fn input(&self, first: (usize, usize), backbone: &dyn FeatureExtractor, threads: &Threads) -> Result<Input> {
        let stride = stride(self.geometry, backbone)?;
        let mut size = self.geometry.resolve(first.0, first.1, stride)?;
        if self.enlarge {
            size = self.scales.enlarged(size);
        }
        let mask = self.mask_of(first)?;
        let roi = mask.map(|mask| InputRoi::fixed(mask, size, threads)).transpose()?;
        // Checks now, not at the first batch, that a dynamic first dimension really works.
        let max_batch = backbone.max_batch(size);
        if max_batch > 1 {
            backbone.extract(&try_vec(max_batch * 3 * size.height * size.width, 0.0)?, size, &mut |_, _| Ok(()))?;
        }
        Ok(Input { size, first, stride, roi, extraction: Extraction::new(backbone, size, self.grid_step) })
    }
}

impl Input {
    /// Whether this image would result in another size of the network's input if it came first.
    pub fn differs(&self, config: &FitConfig, image: &ImageView<'_>) -> bool {
        let size = |(width, height)| config.geometry.resolve(width, height, self.stride).ok();
        size((image.width(), image.height())) != size(self.first)
    }

    /// Logs that the size of the network's input depends on the order of the images.
    pub fn warn_of_proportions(&self, config: &FitConfig, image: &ImageView<'_>) -> Result<()> {
        let (width, height) = self.first;
        let InputSize { height: rows, width: cols } = config.geometry.resolve(width, height, self.stride)?;
        log::warn!(
            "an image of {} x {} pixels has other proportions than the first one of {width} x {height}, which determined the \
             size of the network's input, so the model depends on which image comes first; set the option size, for example \
             to {rows}x{cols} (height x width)",
            image.width(),
            image.height()
        );
        Ok(())
    }
}

/// The backbone's coarsest stride, which the sides of the network's input are multiples of unless it is fixed.
fn stride(geometry: Geometry, backbone: &dyn FeatureExtractor) -> Result<usize> {
    const PROBE: usize = 256;
    let mut stride = 1;
    if !matches!(geometry, Geometry::Fixed(_)) {
        let size = InputSize { height: PROBE, width: PROBE };
        backbone
            .extract(&vec![0.0; 3 * PROBE * PROBE], size, &mut |_, taps| {
                // The last ones are those of the probe itself, without its smaller scales.
                let own = taps.len() / backbone.scales();
                stride = taps[taps.len() - own..].iter().map(|tap| PROBE.div_ceil(tap.rows)).max().unwrap_or(1);
                Ok(())
            })
            .map_err(|e| {
                e.context(
                    "determining the backbone's stride; if its input has a fixed size, set the option size to it, \
                     height x width",
                )
            })?;
    }
    Ok(stride)
}
