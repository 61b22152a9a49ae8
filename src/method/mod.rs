//! Detection methods. A fitter learns the feature maps of good images and computes an immutable scorer. A new method is
//! added to the registry only.

mod features;
mod flows;
mod npad;
mod padim;
mod parameters;
mod patchcore;
mod sample;
pub mod scales;
mod scaling;
mod spade;
mod state;
mod whitening;

pub use parameters::{Kind, Parameter, Parameters};
pub use sample::{HalfMap, Sample, SampleImage};
pub use state::{Array, State, unfit};

use std::sync::{Arc, PoisonError, RwLock};

use crate::backbone::{Device, FeatureMap, TapMap};
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::memory::try_reserve;
use crate::exec::progress::Progress;
use crate::onnx::{Value, Writer};

/// Anomaly scores of one image, on the grid of its feature map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GridScore {
    /// Grid rows.
    pub rows: usize,
    /// Grid columns.
    pub cols: usize,
    /// The anomaly score of each position: `rows * cols` values, 0 or above.
    pub map: Vec<f32>,
    /// The values that the image score is computed from, if these are not `map`: `rows * cols` values, or empty.
    pub evidence: Vec<f32>,
}

impl GridScore {
    /// Takes the values of the outputs of a detector's graph: the map and, where there is one, the evidence.
    ///
    /// # Errors
    /// [`Status::Backbone`] when they are not finite or negative, or not on one grid; [`Status::OutOfMemory`].
    pub fn read(&mut self, outputs: &[TapMap<'_>]) -> Result<()> {
        let refused = |what: &str| Error::new(Status::Backbone, format!("the detector's network gave {what}"));
        let ([map] | [map, _]) = outputs else { return Err(refused("more than a map and its evidence")) };
        if outputs.iter().any(|output| (output.channels, output.rows, output.cols) != (1, map.rows, map.cols)) {
            return Err(refused("maps of several sizes"));
        }
        if outputs.iter().flat_map(|output| output.data).any(|value| !(value.is_finite() && *value >= 0.0)) {
            return Err(refused("values that are not finite, or negative"));
        }
        (self.rows, self.cols) = (map.rows, map.cols);
        let evidence = outputs.get(1).map_or(&[][..], |evidence| evidence.data);
        for (out, values) in [(&mut self.map, map.data), (&mut self.evidence, evidence)] {
            out.clear();
            try_reserve(out, values.len())?;
            out.extend_from_slice(values);
        }
        Ok(())
    }
}

/// Where a method runs the networks that it makes, and where it saves the state of a long fit.
#[derive(Clone, Default)]
pub struct Environment {
    /// The device of the backbone.
    pub device: Device,
    /// Number of worker threads; 0 for one per core.
    pub threads: usize,
    /// Where a fit that takes minutes keeps its state, so that it can be resumed after a crash.
    pub checkpoint: Option<Arc<dyn Checkpoint>>,
}

/// A place for the state of a fit.
pub trait Checkpoint: Send + Sync {
    /// The state of the fit with this identity; none if nothing has been saved.
    ///
    /// # Errors
    /// [`Status::WrongState`] when the state is that of another fit, or as for files.
    fn load(&self, identity: &[u8; 32]) -> Result<Option<State>>;

    /// Replaces the state.
    ///
    /// # Errors
    /// As for files.
    fn save(&self, identity: &[u8; 32], state: State) -> Result<()>;

    /// The place for fit number `index` of several that belong together.
    fn part(&self, index: usize) -> Arc<dyn Checkpoint>;
}

impl Environment {
    /// The environment of fit number `index` of several that belong together.
    fn part(&self, index: usize) -> Self {
        let checkpoint = self.checkpoint.as_ref().map(|checkpoint| checkpoint.part(index));
        Self { checkpoint, ..self.clone() }
    }
}

/// Learns from the feature maps of good images.
///
/// The caller keeps a bounded [`Sample`] of the maps for computations that need them repeatedly. A method may learn
/// from the sample only, or keep statistics of the images that the sample has no room for in an [`Accumulator`]. The order of
/// the sample's images does not depend on the order in which they were added.
pub trait Fitter: Send {
    /// The statistics of the images that are not in the sample; none, the default, for a method that learns from the sample only.
    fn accumulator(&mut self) -> Option<&mut dyn Accumulator> {
        None
    }

    /// Computes the scorer from the sample and, where there are some, the statistics of the other images. The fitter remains
    /// usable: it may learn further images and finish again, also after a failure.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] or another status when the statistics are unusable, [`Status::Cancelled`] by the
    /// progress callback.
    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome>;
}

/// Statistics of the images that are not in the sample, added up one by one, so that memory use does not depend on the number of images.
/// Their maps are rounded as those of the sample, from which they come.
pub trait Accumulator {
    /// Adds an image that leaves the full sample, or that a full sample does not take. On failure the statistics are unchanged.
    /// Decisions such as the selection of channels are made from the sample when the first image is added.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the map's shape differs from the sample's.
    fn observe(&mut self, image: Leaving<'_>, sample: &Sample, threads: &Threads) -> Result<()>;

    /// The statistics, empty without images.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the method cannot save them; [`Status::OutOfMemory`].
    fn save(&mut self, threads: &Threads) -> Result<State>;

    /// Prepares to add saved statistics of other images, and `leaving`, images that leave the sample as two are merged into `sample`.
    /// The statistics do not change until [`Accumulator::merge`]; what has been staged before is dropped.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when the state is inconsistent, [`Status::InvalidArgument`] when its statistics cannot be added to these.
    fn stage(&mut self, state: State, leaving: &[&SampleImage], sample: &Sample, threads: &Threads) -> Result<()>;

    /// Adds what has been staged.
    fn merge(&mut self);
}

/// An image that is not in the sample.
#[derive(Clone, Copy)]
pub struct Leaving<'a> {
    /// Its map, rounded as in the sample.
    pub features: &'a FeatureMap,
    /// Its hash, see [`Sample::hash`].
    pub hash: u64,
}

/// The result of a fit.
pub struct FitOutcome {
    /// The scorer.
    pub scorer: Box<dyn Scorer>,
    /// Held-out scores of images of the sample, in its order, for each of their shifts.
    pub held_out: Vec<Vec<GridScore>>,
}

/// Scores feature maps. Immutable, and may be called from several threads at once.
pub trait Scorer: Send + Sync {
    /// The shape of the feature maps: rows, columns, channels.
    fn shape(&self) -> (usize, usize, usize);

    /// Scores one image into `out`.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the map has another shape.
    fn score(&self, features: &FeatureMap, threads: &Threads, out: &mut GridScore) -> Result<()>;

    /// Scores several maps together, which takes less time. The scores are bit-identical to those of [`Scorer::score`].
    ///
    /// # Errors
    /// As [`Scorer::score`]; those of `check`, which is called before each map.
    fn score_all(
        &self,
        features: &[FeatureMap],
        threads: &Threads,
        check: &dyn Fn() -> Result<()>,
        out: &mut [GridScore],
    ) -> Result<()> {
        let mut maps = features.iter().zip(out);
        maps.try_for_each(|(features, out)| check().and_then(|()| self.score(features, threads, out)))
    }

    /// Allocates the working memory of `calls` concurrent calls of [`Scorer::score_all`] with `maps` feature maps each.
    /// Optional: missing memory is allocated on use.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    fn warm_up(&self, _maps: usize, _calls: usize, _threads: &Threads) -> Result<()> {
        Ok(())
    }

    /// The state that [`Method::load`] restores a scorer from.
    ///
    /// # Errors
    /// [`Status::Plugin`] when a plug-in fails.
    fn state(&self) -> Result<State>;

    /// Adds the scoring to an ONNX graph, where `features` are images x channels x rows x columns. The scores agree with those of
    /// [`Scorer::score`] to rounding.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the method has no graph, which is the default; [`Status::OutOfMemory`].
    fn to_graph(&self, _writer: &mut Writer, _features: &Value) -> Result<GridGraph> {
        Err(Error::new(Status::InvalidArgument, "the method cannot be written as an ONNX graph"))
    }

    /// Whether a run of the graph takes several images.
    fn graph_takes_several(&self) -> bool {
        true
    }
}

/// A [`GridScore`] for each image in a graph: images x 1 x rows x columns.
pub struct GridGraph {
    /// The anomaly score of each position.
    pub map: Value,
    /// The values that the image score is computed from, if these are not `map`.
    pub evidence: Option<Value>,
}

/// A detection method by name.
pub trait Method: Send + Sync {
    /// Name in options and model files.
    fn name(&self) -> &str;

    /// Description in one line.
    fn help(&self) -> &str;

    /// Parameters, named `METHOD.NAME`.
    fn parameters(&self) -> &[Parameter];

    /// The displacements `(dy, dx)`, in pixels of the network's input, at which an image is scored; the maps are
    /// shifted back and averaged. The first is always `(0, 0)`.
    fn shifts(&self, parameters: &Parameters) -> Vec<(isize, isize)>;

    /// Starts a fit.
    ///
    /// # Errors
    /// [`Status::Plugin`] when a plug-in fails.
    fn fitter(&self, parameters: &Parameters, seed: u64, environment: &Environment) -> Result<Box<dyn Fitter>>;

    /// Resumes a fit that resulted in a scorer with this state after `images` images. Held-out scores are comparable
    /// with those of the first fit.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the method cannot resume a fit, which is the default.
    fn resume(&self, _parameters: &Parameters, _seed: u64, _state: State, _images: usize) -> Result<Box<dyn Fitter>> {
        let message = format!("a fit of the method '{}' cannot be resumed; fit again with all images", self.name());
        Err(Error::new(Status::InvalidArgument, message))
    }

    /// Whether its scorers can be written as an ONNX graph, see [`Scorer::to_graph`].
    fn has_graph(&self) -> bool {
        false
    }

    /// Whether its fits keep their state in [`Environment::checkpoint`], which is no use to one that takes seconds.
    fn keeps_checkpoint(&self) -> bool {
        false
    }

    /// File name of the plug-in; none for a built-in method.
    fn plugin(&self) -> Option<&str> {
        None
    }

    /// Restores a scorer.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when the state is inconsistent.
    fn load(&self, parameters: &Parameters, state: State, environment: &Environment) -> Result<Box<dyn Scorer>>;
}

/// The built-in methods.
static METHODS: &[&dyn Method] =
    &[&npad::Npad, &padim::Padim, &patchcore::PatchCore, &spade::Spade, &flows::FASTFLOW, &flows::CFLOW, &flows::PEFM];

/// The methods of plug-ins, which stay loaded until the process ends.
static PLUGGED_IN: RwLock<Vec<&'static dyn Method>> = RwLock::new(Vec::new());

/// All methods: built-in ones and those of plug-ins.
pub fn methods() -> Vec<&'static dyn Method> {
    let plugged_in = PLUGGED_IN.read().unwrap_or_else(PoisonError::into_inner);
    METHODS.iter().chain(plugged_in.iter()).copied().collect()
}

/// Adds the method that `make` returns. `make` is called only if the name is free, so that refused methods leak nothing.
///
/// # Errors
/// [`Status::Plugin`] when a method of that name exists already, also if another thread has just added it.
pub fn register<M: Method + 'static>(name: &str, make: impl FnOnce() -> M) -> Result<()> {
    let mut plugged_in = PLUGGED_IN.write().unwrap_or_else(PoisonError::into_inner);
    if METHODS.iter().chain(plugged_in.iter()).any(|known| known.name() == name) {
        return Err(Error::new(Status::Plugin, format!("a method '{name}' already exists")));
    }
    plugged_in.push(Box::leak(Box::new(make())));
    Ok(())
}

/// The method of that name.
///
/// # Errors
/// [`Status::InvalidOption`] when there is none.
pub fn method(name: &str) -> Result<&'static dyn Method> {
    let all = methods();
    all.iter().copied().find(|m| m.name() == name).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|m| m.name()).collect();
        Error::new(Status::InvalidOption, format!("method is '{name}', but must be one of: {}", known.join(", ")))
    })
}

/// Indices of the sample's images that are scored held out: all, since the threshold depends less on chance the more
/// scores there are.
fn held_out_images(sample: &Sample) -> Vec<usize> {
    (0..sample.images().len()).collect()
}

/// Checks that a feature map has the shape of those of the fit.
///
/// # Errors
/// [`Status::Backbone`] when it has another.
fn check_shape(expected: (usize, usize, usize), found: &FeatureMap) -> Result<()> {
    if found.shape() == expected {
        return Ok(());
    }
    let ((rows, cols, channels), (found_rows, found_cols, found_channels)) = (expected, found.shape());
    Err(Error::new(
        Status::Backbone,
        format!(
            "the backbone gave a {found_rows} x {found_cols} grid of {found_channels} channels, but the first image's \
             was {rows} x {cols} of {channels}; the shape of its outputs must depend on the input's size only"
        ),
    ))
}
