//! Detection methods behind one small trait pair: a fitter observes the feature maps of good images and finishes into
//! an immutable scorer. The registry is the one list that a new method is added to.

mod features;
mod npad;
mod padim;
mod parameters;
mod patchcore;
mod sample;
mod spade;
mod state;
mod whitening;

pub use parameters::{Kind, Parameter, Parameters};
pub use sample::{HalfMap, Sample, SampleImage};
pub use state::{Array, State};

use std::sync::{PoisonError, RwLock};

use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::exec::Threads;
use crate::exec::progress::Progress;

/// What a scorer says about one image, on the grid of its feature map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GridScore {
    /// Grid rows.
    pub rows: usize,
    /// Grid columns.
    pub cols: usize,
    /// How anomalous each position is: `rows * cols` values, 0 or above.
    pub map: Vec<f32>,
    /// What the image score is the maximum of, where that is not `map`: as many values, or none.
    pub evidence: Vec<f32>,
}

/// Learns from the feature maps of good images.
///
/// The caller keeps a bounded [`Sample`] of the maps for what has to look at them twice. A method that needs no more learns
/// from it alone; one whose statistics take in every image has an [`Accumulator`] besides.
pub trait Fitter: Send {
    /// The statistics that every image enters; none for a method that learns from the sample alone, which is the default.
    fn accumulator(&mut self) -> Option<&mut dyn Accumulator> {
        None
    }

    /// Computes the scorer. A failure leaves the fitter as it was; it may take further images and finish again.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] or whatever makes the statistics unusable, [`Status::Cancelled`] by the progress callback.
    fn finish(&mut self, sample: &Sample, threads: &Threads, progress: &Progress) -> Result<FitOutcome>;
}

/// Statistics that add up image by image, so that memory does not grow with their number.
///
/// The order of calls is `prepare`, then `observe` for every image, those of the sample included.
pub trait Accumulator {
    /// Starts the statistics anew and decides from a first sample what they are about (the choice of channels, say).
    ///
    /// # Errors
    /// Whatever makes the sample unusable.
    fn prepare(&mut self, sample: &Sample, threads: &Threads) -> Result<()>;

    /// Adds one image. A failure leaves the statistics as they were.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the map's shape differs from the sample's.
    fn observe(&mut self, features: &FeatureMap, threads: &Threads) -> Result<()>;
}

/// What a fit ends in.
pub struct FitOutcome {
    /// The scorer.
    pub scorer: Box<dyn Scorer>,
    /// For images of the sample, at most all, and each of their shifts: the score as though it had not been learnt from.
    pub held_out: Vec<Vec<GridScore>>,
}

/// Scores feature maps. Immutable, and may be called from several threads at once.
pub trait Scorer: Send + Sync {
    /// The shape of the feature maps that it takes: rows, columns, channels.
    fn shape(&self) -> (usize, usize, usize);

    /// Scores one image into `out`.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the map's shape is another.
    fn score(&self, features: &FeatureMap, threads: &Threads, out: &mut GridScore) -> Result<()>;

    /// The same for several maps at once, which may then share a pass over the model. The scores are those of
    /// [`Scorer::score`] to the last bit.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    fn score_all(&self, features: &[FeatureMap], threads: &Threads, out: &mut [GridScore]) -> Result<()> {
        features.iter().zip(out).try_for_each(|(features, out)| self.score(features, threads, out))
    }

    /// Makes working memory ahead, so that `calls` calls of [`Scorer::score_all`] at once with `maps` feature maps each find
    /// it ready. Optional: what is missing is made when it is needed.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    fn warm_up(&self, _maps: usize, _calls: usize, _threads: &Threads) -> Result<()> {
        Ok(())
    }

    /// Everything that [`Method::load`] needs to rebuild it.
    ///
    /// # Errors
    /// [`Status::Plugin`] when a plug-in fails.
    fn state(&self) -> Result<State>;
}

/// A detection method by name.
pub trait Method: Send + Sync {
    /// Its name in options and model files.
    fn name(&self) -> &str;

    /// What it is, in one line.
    fn help(&self) -> &str;

    /// Its parameters, each named `METHOD.something`.
    fn parameters(&self) -> &[Parameter];

    /// The displacements `(dy, dx)`, in pixels of the network's input, at which an image is scored; the maps are
    /// shifted back and averaged. The first is always none.
    fn shifts(&self, parameters: &Parameters) -> Vec<(isize, isize)>;

    /// Starts a fit.
    ///
    /// # Errors
    /// [`Status::Plugin`] when a plug-in fails.
    fn fitter(&self, parameters: &Parameters, seed: u64) -> Result<Box<dyn Fitter>>;

    /// Goes on with a fit that ended in a scorer with this state after so many images. The fitter's held-out scores are
    /// then comparable with those of the first fit.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] where the method cannot, which is the default.
    fn resume(&self, _parameters: &Parameters, _seed: u64, _state: State, _images: usize) -> Result<Box<dyn Fitter>> {
        let message = format!("a fit of the method '{}' cannot be resumed; fit again with all images", self.name());
        Err(Error::new(Status::InvalidArgument, message))
    }

    /// The file name of the plug-in that it comes from; none if it is built in.
    fn plugin(&self) -> Option<&str> {
        None
    }

    /// Rebuilds a scorer.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when the state does not fit together.
    fn load(&self, parameters: &Parameters, state: State) -> Result<Box<dyn Scorer>>;
}

/// The methods that are built in.
static METHODS: &[&dyn Method] = &[&npad::Npad, &padim::Padim, &patchcore::PatchCore, &spade::Spade];

/// The methods of plug-ins, which stay loaded until the process ends.
static PLUGGED_IN: RwLock<Vec<&'static dyn Method>> = RwLock::new(Vec::new());

/// All methods, built in and plugged in.
pub fn methods() -> Vec<&'static dyn Method> {
    let plugged_in = PLUGGED_IN.read().unwrap_or_else(PoisonError::into_inner);
    METHODS.iter().chain(plugged_in.iter()).copied().collect()
}

/// Whether a method may have that name.
///
/// # Errors
/// [`Status::Plugin`] when there is one of that name already.
pub fn check_free(name: &str) -> Result<()> {
    if methods().iter().any(|known| known.name() == name) {
        return Err(name_taken(name));
    }
    Ok(())
}

/// Adds a method.
///
/// # Errors
/// [`Status::Plugin`] when there is one of that name already, also where it has been added at the same time.
pub fn register(method: Box<dyn Method>) -> Result<()> {
    let mut plugged_in = PLUGGED_IN.write().unwrap_or_else(PoisonError::into_inner);
    if METHODS.iter().chain(plugged_in.iter()).any(|known| known.name() == method.name()) {
        return Err(name_taken(method.name()));
    }
    plugged_in.push(Box::leak(method));
    Ok(())
}

fn name_taken(name: &str) -> Error {
    Error::new(Status::Plugin, format!("a method '{name}' already exists"))
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

/// Images that are scored held out: enough for a threshold at the usual false-alarm rates.
const HELD_OUT: usize = 100;

/// The numbers of the sample's images that are scored held out, spread over all of it.
fn held_out_images(sample: &Sample) -> Vec<usize> {
    let (count, all) = (sample.images().len().min(HELD_OUT), sample.images().len());
    (0..count).map(|k| k * all / count).collect()
}

/// Whether a feature map has the shape of those learnt from.
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
