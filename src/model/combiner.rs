//! From the scores of an image on the grid to its anomaly map and image score.

use super::MapOptions;
use crate::error::Result;
use crate::exec::Threads;
use crate::method::GridScore;
use crate::postprocess::{MapGeometry, Smoother, cut_off, peak, unite};
use crate::preprocess::InputSize;

/// Computes the smoothed map and the image score from the grids of an image's displacements.
#[derive(Default)]
pub struct Combiner {
    smoother: Smoother,
    map: Vec<f32>,
    evidence: Vec<f32>,
    scratch: Vec<u32>,
}

impl Combiner {
    /// Computes the image score and the map of the network's input size, whose largest value is the score, from the pixels
    /// that are `inside`.
    pub fn run(
        &mut self,
        grids: &[GridScore],
        shifts: &[(isize, isize)],
        size: InputSize,
        output: &MapOptions,
        inside: Option<&[bool]>,
        threads: &Threads,
    ) -> Result<(f32, &[f32])> {
        let grid = (grids[0].rows, grids[0].cols);
        let geometry = MapGeometry { grid, size, sigma: output.smoothing, masked: inside.is_some() };
        let of = |values: fn(&GridScore) -> &[f32]| shifts.iter().copied().zip(grids.iter().map(values));
        self.smoother.run(of(|grid| &grid.map), geometry, inside, threads, &mut self.map)?;
        let evidence = if grids[0].evidence.is_empty() {
            None
        } else {
            self.smoother.run(of(|grid| &grid.evidence), geometry, inside, threads, &mut self.evidence)?;
            Some(&self.evidence[..])
        };
        let score = peak(evidence.unwrap_or(&self.map), inside, output.peak_share, &mut self.scratch)?;
        match evidence {
            Some(evidence) => unite(&mut self.map, evidence, inside, score),
            None => cut_off(&mut self.map, score),
        }
        Ok((score, &self.map))
    }
}
