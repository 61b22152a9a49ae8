//! Scoring: computes score, verdict, anomaly map and regions of an image.

use std::time::{Duration, Instant};

use ndarray::Array2;

use super::combiner::Combiner;
use super::extraction::{Extraction, Pipeline, Target};
use super::image_map::{decisive_score, image_map};
use super::images_hash::ImageHash;
use super::{Model, Verdict};
use crate::backbone::{FeatureExtractor, FeatureMap};
use crate::error::{Error, Result, Status};
use crate::exec::memory::{try_reserve, try_resize, try_vec};
use crate::exec::progress::Cancellation;
use crate::exec::rows::{Rows, RowsOut};
use crate::exec::{Awake, Threads};
use crate::image::{ImageView, PixelFormat};
use crate::method::GridScore;
use crate::postprocess::{Region, RegionFinder, Regions, Resizer, calibrated_map, maximum, render};

/// Width of the excluded margin along the edge of an image's own mask, in grid cells: one for the methods'
/// neighbourhoods and one for the backbone's receptive field.
const EDGE: usize = 2;

/// Maximum number of images that are scored together. Each further image saves less time and needs memory for its
/// feature maps.
const GROUP: usize = 8;

/// Score and verdict of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The raw image score, in the method's own units: 0 or above, larger is more anomalous.
    pub score: f32,
    /// The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated: f32,
    /// The verdict.
    pub verdict: Verdict,
}

/// The result of scoring one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The raw image score, in the method's own units: 0 or above, larger is more anomalous.
    pub score: f32,
    /// The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated: f32,
    /// The verdict.
    pub verdict: Verdict,
    /// The anomaly map in the units of the raw score, in as many rows and columns as the image has; 0 in excluded
    /// pixels. Its largest value is the raw score.
    pub map: Array2<f32>,
    /// Regions of the map above the threshold (above the review threshold if the verdict is [`Verdict::Review`]) with at
    /// least the minimum area, highest peak first; none for [`Verdict::Good`].
    pub regions: Regions,
}

impl Inspection {
    /// Whether the score exceeds the threshold.
    pub fn anomalous(&self) -> bool {
        self.verdict == Verdict::Defective
    }

    /// The anomaly map by rows.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the caller has replaced the map by one of another layout.
    pub fn rows(&self) -> Result<Rows<'_, f32>> {
        let (height, width) = self.map.dim();
        let values = self
            .map
            .as_slice()
            .ok_or_else(|| Error::new(Status::InvalidArgument, "the anomaly map is not contiguous in memory"))?;
        Rows::from_slice(values, width, height, width)
    }
}

/// Working memory of one scoring.
pub struct Context {
    extraction: Extraction,
    /// Grids of each image of a group at each displacement.
    features: Vec<FeatureMap>,
    grids: Vec<GridScore>,
    combiner: Combiner,
    resizer: Resizer,
    finder: RegionFinder,
    /// Map for the regions, if the caller requests no map.
    map: Vec<f32>,
}

/// The caller's buffers for the anomaly map of an image, of the image's size. None by default.
#[derive(Default)]
pub struct ScoreBuffers<'a> {
    /// The map in the raw score's units.
    pub map: Option<RowsOut<'a, f32>>,
    /// The map in eight bits on the calibrated scale, see [`calibrated_map`].
    pub map_u8: Option<RowsOut<'a, u8>>,
}

impl Model {
    /// Scores one image. Working memory is reused; the result is allocated.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the image or its mask cannot be used, [`Status::Backbone`] when the backbone fails
    /// or gives values that are not finite, [`Status::OutOfMemory`], [`Status::TimedOut`] when the call could not start
    /// within the option `call_timeout`.
    pub fn score(&self, image: &ImageView<'_>) -> Result<Inspection> {
        self.with_context(None, |context| {
            let _awake = self.grids(context, std::slice::from_ref(image), None).map_err(|(_, error)| error)?;
            self.inspect(context, 0, image.width(), image.height())
        })
    }

    /// Scores one image with maps of several sizes (columns, rows) instead of the image's own, and passes the inspections
    /// to `found` one after the other. Regions are in pixels of their map.
    ///
    /// # Errors
    /// As [`Model::score`]; [`Status::InvalidArgument`] when a side is 0.
    pub fn score_at(
        &self,
        image: &ImageView<'_>,
        sizes: &[(usize, usize)],
        mut found: impl FnMut(Inspection),
    ) -> Result<()> {
        self.with_context(None, |context| {
            let _awake = self.grids(context, std::slice::from_ref(image), None).map_err(|(_, error)| error)?;
            sizes.iter().try_for_each(|(width, height)| {
                found(self.inspect(context, 0, *width, *height)?);
                Ok(())
            })
        })
    }

    /// Computes the score for a threshold (see [`Model::decisive_score`]) and the image's hash.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub(super) fn score_and_hash(&self, image: &ImageView<'_>) -> Result<(f32, ImageHash)> {
        self.with_context(None, |context| {
            let awake = self.grids(context, std::slice::from_ref(image), None).map_err(|(_, error)| error)?;
            let size = (image.width(), image.height());
            let score = self.decisive_score(context, size)?;
            drop(awake);
            Ok((score, ImageHash::of(context.extraction.tensor())))
        })
    }

    /// Scores a batch of images, in less time than one at a time. The results are bit-identical to those of
    /// [`Model::score`].
    ///
    /// # Errors
    /// As [`Model::score`], for the first image that fails; the message has its index. [`Status::Cancelled`] by
    /// `cancellation`, which is checked before and after each image and while the call waits until it may run.
    pub fn score_batch(
        &self,
        images: &[ImageView<'_>],
        cancellation: Option<&Cancellation>,
    ) -> Result<Vec<Inspection>> {
        let mut inspections = Vec::new();
        self.with_batch(images, cancellation, |context, index, image| {
            let (width, height) = (image.width(), image.height());
            inspections.push(self.inspect(context, index, width, height)?);
            Ok(())
        })?;
        Ok(inspections)
    }

    /// Scores one image, writes its map to the caller's memory and passes its regions to `found`, whose error it
    /// returns. After the first image of a size, N-pad and PaDiM allocate no memory, other methods a little.
    ///
    /// # Errors
    /// As [`Model::score`]; [`Status::InvalidArgument`] when a buffer has another size than the image. The content of
    /// the buffers is then undefined.
    pub fn score_into(
        &self,
        image: &ImageView<'_>,
        buffers: ScoreBuffers<'_>,
        found: impl FnOnce(&Regions) -> Result<()>,
    ) -> Result<Decision> {
        self.with_context(None, |context| {
            let images = std::slice::from_ref(image);
            let _awake = self.grids(context, images, None).map_err(|(_, error)| error)?;
            let (decision, regions) = self.conclude(context, 0, (image.width(), image.height()), buffers)?;
            found(regions)?;
            Ok(decision)
        })
    }

    /// Scores a batch of images as [`Model::score_batch`], writes their maps to the caller's memory and passes each
    /// image's index and regions to `found`, in order. `buffers` has one element for each image.
    ///
    /// # Errors
    /// As [`Model::score_batch`] and [`Model::score_into`].
    pub fn score_batch_into(
        &self,
        images: &[ImageView<'_>],
        cancellation: Option<&Cancellation>,
        buffers: Vec<ScoreBuffers<'_>>,
        mut found: impl FnMut(usize, &Regions) -> Result<()>,
    ) -> Result<Vec<Decision>> {
        if buffers.len() != images.len() {
            let message = format!("there are {} buffers for {} images", buffers.len(), images.len());
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let mut decisions = Vec::new();
        try_reserve(&mut decisions, images.len())?;
        let mut buffers = buffers.into_iter();
        self.with_batch(images, cancellation, |context, index, image| {
            let buffers = buffers.next().unwrap_or_default();
            let (decision, regions) = self.conclude(context, index, (image.width(), image.height()), buffers)?;
            found(decisions.len(), regions)?;
            decisions.push(decision);
            Ok(())
        })?;
        Ok(decisions)
    }

    /// Computes the grids of a batch of images and calls `conclude` for each image in order, with its index in the
    /// context. The whole batch is one call.
    fn with_batch(
        &self,
        images: &[ImageView<'_>],
        cancellation: Option<&Cancellation>,
        mut conclude: impl FnMut(&mut Context, usize, &ImageView<'_>) -> Result<()>,
    ) -> Result<()> {
        let check = || cancellation.map_or(Ok(()), Cancellation::check);
        check()?;
        if images.is_empty() {
            return Ok(());
        }
        self.with_context(cancellation, |context| {
            for (group, images) in images.chunks(GROUP).enumerate() {
                let named = |(index, error): (usize, Error)| error.context(format!("image {}", group * GROUP + index));
                let _awake = self.grids(context, images, cancellation).map_err(named)?;
                for (index, image) in images.iter().enumerate() {
                    let concluded = check().and_then(|()| conclude(context, index, image));
                    concluded.map_err(|error| named((index, error)))?;
                }
            }
            check()
        })
    }

    /// Prepares the model for images of a size, so that the first call is as fast as later ones: allocates working
    /// memory for as many concurrent calls as there are cores, at most `max_calls`, one after the other. It counts as
    /// one call; others run beside it.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] for a size that no image has, otherwise as [`Model::score`].
    pub fn warm_up(&self, width: usize, height: usize) -> Result<()> {
        let bytes = ImageView::required_bytes(width, height, 3 * width, PixelFormat::Rgb8)?;
        let pixels = try_vec(bytes, 0u8)?;
        let image = ImageView::new(&pixels, width, height, 3 * width, PixelFormat::Rgb8)?;
        let core = &*self.core;
        let _turn = core.calls.turn(core.wait, None)?;
        let (shifts, count) = (core.shifts.len(), core.calls.limit().min(Threads::resolve(0)));
        self.extractor().warm_up(self.metadata.input, shifts, count)?;
        if core.network.is_none() {
            core.scorer.warm_up(shifts, count, &core.threads)?;
        }
        core.contexts.warm_up(
            count,
            || Ok(self.new_context()),
            |context| {
                self.grids(context, std::slice::from_ref(&image), None).map_err(|(_, error)| error)?;
                self.conclude(context, 0, (width, height), ScoreBuffers::default())?;
                Ok(())
            },
        )
    }

    /// Calls `work` with a context, once a further call may run.
    fn with_context<R>(
        &self,
        cancellation: Option<&Cancellation>,
        work: impl FnOnce(&mut Context) -> Result<R>,
    ) -> Result<R> {
        let _turn = self.core.calls.turn(self.core.wait, cancellation)?;
        self.core.contexts.try_with(|| Ok(self.new_context()), work)
    }

    /// Scores at most [`GROUP`] images on the grid, each at every displacement, into the context's grids. An error
    /// carries the image's index. The worker threads are awake afterwards.
    fn grids(
        &self,
        context: &mut Context,
        images: &[ImageView<'_>],
        cancellation: Option<&Cancellation>,
    ) -> std::result::Result<Option<Awake<'_>>, (usize, Error)> {
        let core = &*self.core;
        let Context { extraction, features, grids, .. } = context;
        let count = images.len() * core.shifts.len();
        if features.len() < count {
            features.resize_with(count, FeatureMap::default);
            grids.resize_with(count, GridScore::default);
        }
        let (features, grids) = (&mut features[..count], &mut grids[..count]);
        if core.network.is_some() {
            return extraction.run(images, self.pipeline(), cancellation, Target::Grids(grids));
        }
        let awake = extraction.run(images, self.pipeline(), cancellation, Target::Features(features))?;
        let check = || cancellation.map_or(Ok(()), Cancellation::check);
        core.scorer.score_all(features, &core.threads, &check, grids).map_err(|error| (0, error))?;
        Ok(awake)
    }

    /// [`Model::conclude`] with a new map.
    fn inspect(&self, context: &mut Context, index: usize, width: usize, height: usize) -> Result<Inspection> {
        let mut map = blank_map(width, height)?;
        let buffers = ScoreBuffers { map: Some(rows_of(&mut map)?), map_u8: None };
        let (Decision { score, calibrated, verdict }, regions) =
            self.conclude(context, index, (width, height), buffers)?;
        let regions = regions.try_clone()?;
        Ok(Inspection { score, calibrated, verdict, map, regions })
    }

    /// Scores an image of so many columns and rows, without a region of interest of its own, from its features at each
    /// displacement: returns the score below which it is found at every threshold. The model has no thresholds yet.
    pub(super) fn score_features(&self, features: &[FeatureMap], size: (usize, usize)) -> Result<f32> {
        let core = &*self.core;
        self.with_context(None, |context| {
            context.extraction.reset_roi();
            let count = features.len();
            if context.grids.len() < count {
                context.grids.resize_with(count, GridScore::default);
            }
            core.scorer.score_all(features, &core.threads, &|| Ok(()), &mut context.grids[..count])?;
            self.decisive_score(context, size)
        })
    }

    /// The score below which the first image of the group is found at every threshold, whatever the model's thresholds. If
    /// regions of any area count, that is the image score.
    fn decisive_score(&self, context: &mut Context, (width, height): (usize, usize)) -> Result<f32> {
        self.conclude(context, 0, (width, height), ScoreBuffers::default())?;
        let map = Rows::from_slice(&context.map[..width * height], width, height, width)?;
        decisive_score(map, self.metadata.output.min_region_area, &mut context.finder)
    }

    /// Computes map, regions and decision of image `index` of the group from its grids; the map has (columns, rows)
    /// pixels.
    fn conclude<'a>(
        &self,
        context: &'a mut Context,
        index: usize,
        (width, height): (usize, usize),
        buffers: ScoreBuffers<'_>,
    ) -> Result<(Decision, &'a Regions)> {
        let (metadata, core) = (&self.metadata, &*self.core);
        let Context { extraction, grids, combiner, resizer, finder, map: own, .. } = context;
        let (size, output, shifts) = (metadata.input, &metadata.output, core.shifts.len());
        let grids = &grids[index * shifts..][..shifts];
        let roi = extraction.roi(index, core.roi.as_ref());
        let inside = roi.map(|roi| &roi.inside[..]);
        let (score, smooth) = combiner.run(grids, &core.shifts, size, output, inside, &core.threads)?;
        if !score.is_finite() {
            let message = "the image score is not finite; the model file may be damaged";
            return Err(Error::new(Status::Internal, message));
        }
        let out = match buffers.map {
            Some(map) if (map.width(), map.height()) == (width, height) => map,
            Some(map) => {
                let (columns, rows) = (map.width(), map.height());
                let message = format!(
                    "the buffer for the anomaly map has {rows} rows of {columns} values, but the map has {height} rows \
                     of {width}"
                );
                return Err(Error::new(Status::InvalidArgument, message));
            }
            None => {
                let length = width * height;
                try_resize(own, own.len().max(length), 0.0)?;
                RowsOut::from_slice(&mut own[..length], width, height, width)?
            }
        };
        let map = image_map(smooth, size, roi, resizer, &core.threads, out)?;
        if let Some(out) = buffers.map_u8 {
            calibrated_map(map.as_rows(), metadata.image.typical, metadata.image.threshold, out)?;
        }
        // The image's own resolution decides, so that the score is the largest value of the map that the caller gets.
        let mut score = map.as_rows().iter().map(maximum).fold(0.0, f32::max);
        let mut verdict = Verdict::Good;
        for (level, above) in metadata.levels() {
            if score > level {
                finder.find(map.as_rows(), level, output.min_region_area)?;
                if !finder.regions().is_empty() {
                    verdict = above;
                    break;
                }
                // What is smaller than the least region does not count.
                score = level;
            }
        }
        if verdict == Verdict::Good {
            finder.clear();
        }
        let decision = Decision { score, calibrated: metadata.image.apply(score), verdict };
        Ok((decision, finder.regions()))
    }

    /// What images run through: the backbone, or the network of the whole detector.
    pub(super) fn extractor(&self) -> &dyn FeatureExtractor {
        self.core.network.as_deref().unwrap_or(&*self.core.backbone)
    }

    fn pipeline(&self) -> Pipeline<'_> {
        let core = &*self.core;
        Pipeline {
            backbone: self.extractor(),
            displacements: &core.shifts,
            roi: core.roi.as_ref(),
            margin: EDGE * self.metadata.input.height.div_ceil(core.scorer.shape().0.max(1)),
            mean: &core.mean,
            threads: &core.threads,
        }
    }

    /// Draws the anomaly map and boxes around the regions over an image. `pixels` has the image's rows and columns,
    /// three bytes per pixel in the order of `format`.
    ///
    /// # Errors
    /// As [`render`].
    pub fn render(
        &self,
        image: &ImageView<'_>,
        map: Rows<'_, f32>,
        regions: &[Region],
        format: PixelFormat,
        pixels: RowsOut<'_, u8>,
    ) -> Result<()> {
        render(image, map, regions, self.metadata.image.threshold, format, pixels)
    }

    /// The picture of an inspection as RGB, without padding.
    ///
    /// # Errors
    /// [`Status::InvalidImage`] when the inspection is of an image of another size, [`Status::OutOfMemory`].
    pub fn picture(&self, image: &ImageView<'_>, inspection: &Inspection) -> Result<Vec<u8>> {
        let (width, height) = (image.width(), image.height());
        let mut pixels = try_vec(3 * width * height, 0)?;
        let out = RowsOut::from_slice(&mut pixels, 3 * width, height, 3 * width)?;
        self.render(image, inspection.rows()?, &inspection.regions, PixelFormat::Rgb8, out)?;
        Ok(pixels)
    }

    /// Measures the time of the backbone's runs for this image, which `npad bench` reports.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn time_backbone(&self, image: &ImageView<'_>) -> Result<Duration> {
        let core = &*self.core;
        self.with_context(None, |context| {
            context.extraction.load(0, image, self.pipeline())?;
            let start = Instant::now();
            for _ in &core.shifts {
                core.backbone.extract(context.extraction.tensor(), self.metadata.input, &mut |_, _| Ok(()))?;
            }
            Ok(start.elapsed())
        })
    }

    /// The mean of the good images as RGB, of the network's input size.
    pub fn typical_image(&self) -> Vec<u8> {
        self.image_of(&self.core.mean)
    }

    fn new_context(&self) -> Context {
        let (metadata, core) = (&self.metadata, &*self.core);
        Context {
            extraction: Extraction::new(&*core.backbone, metadata.input, metadata.grid_step),
            features: Vec::new(),
            grids: Vec::new(),
            combiner: Combiner::default(),
            resizer: Resizer::default(),
            finder: RegionFinder::default(),
            map: Vec::new(),
        }
    }
}

/// A map of zeros.
fn blank_map(width: usize, height: usize) -> Result<Array2<f32>> {
    let length = width.saturating_mul(height);
    let shape_error = |e| Error::new(Status::Internal, format!("an anomaly map of {width} x {height}: {e}"));
    Array2::from_shape_vec((height, width), try_vec(length, 0.0)?).map_err(shape_error)
}

/// The rows of a map from [`blank_map`].
fn rows_of(map: &mut Array2<f32>) -> Result<RowsOut<'_, f32>> {
    let (height, width) = map.dim();
    let values = map.as_slice_mut().ok_or_else(|| Error::new(Status::Internal, "an anomaly map with gaps"))?;
    RowsOut::from_slice(values, width, height, width)
}
