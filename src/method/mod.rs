//! Detection methods behind one small trait pair: a fitter observes the feature maps of good images and finishes into
//! an immutable scorer. The registry is the one list that a new method is added to.

mod npad;
mod parameters;
mod sample;
mod state;

pub use parameters::{Kind, Parameter, Parameters};
pub use sample::{HalfMap, Sample, SampleImage};
pub use state::{Array, State};

use crate::backbone::FeatureMap;
use crate::error::{Error, Result, Status};
use crate::threads::Threads;

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
/// The maps arrive one by one, so memory does not grow with their number; a bounded [`Sample`] of them is kept by the
/// caller for what needs to look twice. The order of calls is `prepare`, any number of `observe`, `finish`; the images
/// of the sample are observed like all others.
pub trait Fitter: Send {
    /// Looks at a first sample to decide what the statistics are about (the choice of channels, say).
    ///
    /// # Errors
    /// Whatever makes the sample unusable.
    fn prepare(&mut self, sample: &Sample, threads: &Threads) -> Result<()>;

    /// Adds one image.
    ///
    /// # Errors
    /// [`Status::Backbone`] when the map's shape differs from the sample's.
    fn observe(&mut self, features: &FeatureMap, threads: &Threads) -> Result<()>;

    /// Ends the fit.
    ///
    /// # Errors
    /// [`Status::NotEnoughImages`] or whatever makes the statistics unusable.
    fn finish(self: Box<Self>, sample: &Sample, threads: &Threads) -> Result<Fitted>;
}

/// The end of a fit.
pub struct Fitted {
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

    /// Everything that [`Method::load`] needs to rebuild it.
    fn state(&self) -> State;
}

/// A detection method by name.
pub trait Method: Sync {
    /// Its name in options and model files.
    fn name(&self) -> &'static str;

    /// Its parameters, each named `METHOD.something`.
    fn parameters(&self) -> &'static [Parameter];

    /// The displacements `(dy, dx)`, in pixels of the network's input, at which an image is scored; the maps are
    /// shifted back and averaged. The first is always none.
    fn shifts(&self, parameters: &Parameters) -> Vec<(isize, isize)>;

    /// Starts a fit.
    fn fitter(&self, parameters: &Parameters, seed: u64) -> Box<dyn Fitter>;

    /// Rebuilds a scorer.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] when the state does not fit together.
    fn load(&self, parameters: &Parameters, state: State) -> Result<Box<dyn Scorer>>;
}

/// All methods.
static METHODS: &[&dyn Method] = &[&npad::Npad];

/// The method of that name.
///
/// # Errors
/// [`Status::InvalidOption`] when there is none.
pub fn method(name: &str) -> Result<&'static dyn Method> {
    METHODS.iter().copied().find(|m| m.name() == name).ok_or_else(|| {
        let known: Vec<_> = METHODS.iter().map(|m| m.name()).collect();
        Error::new(Status::InvalidOption, format!("method is '{name}', but must be one of: {}", known.join(", ")))
    })
}

/// The methods' names.
pub fn names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|m| m.name())
}

/// The error for a feature map that has another shape than those learnt from.
fn other_shape(expected: (usize, usize, usize), found: &FeatureMap) -> Error {
    let (rows, cols, channels) = expected;
    Error::new(
        Status::Backbone,
        format!(
            "the backbone gave a {} x {} grid of {} channels, but the first image's was {rows} x {cols} of {channels}; its \
             output must depend on the input's size alone",
            found.rows, found.cols, found.channels
        ),
    )
}
