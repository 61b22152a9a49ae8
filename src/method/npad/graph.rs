//! N-pad's scoring as a part of an ONNX graph.

use half::f16;

use super::centroids::Centroids;
use super::gaussians::Gaussians;
use super::score::{Fusion, Levels, NpadScorer};
use crate::error::Result;
use crate::exec::memory::try_vec;
use crate::math::kernels::{BLOCK, blocked_index};
use crate::math::rows::as_slice;
use crate::method::GridGraph;
use crate::method::features::{mean_planes, vectors};
use crate::onnx::{Value, Writer};

impl NpadScorer {
    /// Adds the scoring to a graph, see [`crate::method::Scorer::to_graph`].
    pub fn write(&self, writer: &mut Writer, features: &Value) -> Result<GridGraph> {
        let (rows, cols, channels) = self.shape;
        let Levels { pixel, patch, centroids } = &self.levels;
        let selected = if self.channels.iter().copied().eq(0..channels as u32) {
            features.clone()
        } else {
            let numbers: Vec<usize> = self.channels.iter().map(|channel| *channel as usize).collect();
            writer.chosen(features, 1, &numbers)
        };
        let mut distances = [const { None::<Value> }; 3];
        if let Some(level) = pixel {
            distances[0] = Some(level.write(writer, &selected)?);
        }
        if let Some(level) = patch {
            let mean = mean_planes(writer, &selected, (rows, cols), self.patch);
            distances[1] = Some(level.write(writer, &mean)?);
        }
        if let Some(level) = centroids {
            let cells = mean_planes(writer, features, (rows, cols), self.centroid_patch);
            distances[2] = Some(level.write(writer, &cells, rows * cols));
        }
        // Images x positions, each level.
        let grids = self.fusion.write(writer, &distances);
        let shape = [-1, 1, rows as i64, cols as i64];
        Ok(GridGraph {
            map: writer.reshaped(&grids.map, &shape),
            evidence: grids.evidence.map(|evidence| writer.reshaped(&evidence, &shape)),
        })
    }
}

impl Fusion {
    /// Combines the levels' distances.
    fn write(&self, writer: &mut Writer, distances: &[Option<Value>; 3]) -> GridGraph {
        let weighted = |writer: &mut Writer, weights: [f32; 3]| -> Vec<Value> {
            let used = weights.into_iter().zip(distances).filter(|(weight, _)| *weight > 0.0);
            used.filter_map(|(weight, level)| Some(writer.scaled(level.as_ref()?, weight))).collect()
        };
        let map = weighted(writer, self.map);
        let map = writer.apply(if self.minimum { "Min" } else { "Sum" }, &map.iter().collect::<Vec<_>>());
        let evidence = (!self.is_single()).then(|| {
            let levels = weighted(writer, self.image);
            writer.apply("Sum", &levels.iter().collect::<Vec<_>>())
        });
        GridGraph { map, evidence }
    }
}

impl Centroids {
    /// Adds the distances to a graph: images x positions.
    fn write(&self, writer: &mut Writer, cells: &Value, positions: usize) -> Value {
        let (whitening, points) = (self.whitening(), self.points().rows());
        let vectors = vectors(writer, cells, points.ncols());
        let white = whitening.write(writer, &vectors);
        let [distances, _] = writer.nearest(&white, as_slice(points), points.ncols());
        writer.reshaped(&distances, &[-1, positions as i64])
    }
}

/// Number of bands of rows that the whiteners are cut into. The columns of a band end with its rows, since the others are zeros: four
/// bands have five eighths of a matrix's values.
const BANDS: usize = 4;

impl Gaussians {
    /// Adds the Mahalanobis distances to a graph: images x positions.
    fn write(&self, writer: &mut Writer, planes: &Value) -> Result<Value> {
        let (dimension, layout) = (self.dimension(), self.layout());
        let (blocks, positions) = (layout.blocks(), layout.grid().len());
        // Blocks of equally many positions: smaller ones repeat their last.
        let size = (0..blocks).map(|b| layout.block(b).len()).max().unwrap_or(1);
        let order: Vec<usize> = (0..blocks * size)
            .map(|at| layout.starts()[at / size] + (at % size).min(layout.block(at / size).len() - 1))
            .collect();
        let grid: Vec<usize> = order.iter().map(|at| layout.grid()[*at]).collect();
        let mut place = vec![0; positions];
        grid.iter().enumerate().rev().for_each(|(at, p)| place[*p] = at);
        let in_order = grid.iter().copied().eq(0..positions);

        let [blocks_of, sizes_of, channels] = [blocks, blocks * size, dimension].map(|n| n as i64);
        let vectors = writer.transposed(planes, &[2, 3, 0, 1]);
        let mut vectors = writer.reshaped(&vectors, &[positions as i64, -1, channels]);
        if !in_order {
            vectors = writer.chosen(&vectors, 0, &grid);
        }
        let mut means = try_vec(order.len() * dimension, 0.0)?;
        means.chunks_exact_mut(dimension).zip(&order).for_each(|(to, at)| to.copy_from_slice(self.mean(*at)));
        let means = writer.constant(&[order.len(), 1, dimension], &means);
        let relative = writer.apply("Sub", &[&vectors, &means]);
        let relative = writer.reshaped(&relative, &[blocks_of, -1, channels]);
        let mut squares: Option<Value> = None;
        let height = dimension.div_ceil(BANDS).next_multiple_of(BLOCK);
        for first in (0..dimension).step_by(height) {
            let rows = first..(first + height).min(dimension);
            let mut columns = try_vec(blocks * rows.end * rows.len(), f16::ZERO)?;
            for (b, columns) in columns.chunks_exact_mut(rows.end * rows.len()).enumerate() {
                let whitener = self.whitener(b);
                for (j, column) in columns.chunks_exact_mut(rows.len()).enumerate() {
                    let own = rows.clone().zip(column).skip_while(|(i, _)| *i < j);
                    own.for_each(|(i, value)| *value = whitener[blocked_index(i, j)]);
                }
            }
            let columns = writer.half_constant(&[blocks, rows.end, rows.len()], &columns);
            let own = if rows.end == dimension { relative.clone() } else { writer.part(&relative, 2, 0, rows.end) };
            let white = writer.apply("MatMul", &[&own, &columns]);
            let band = writer.squares(&white, 2);
            squares = Some(squares.map_or(band.clone(), |sum| writer.apply("Add", &[&sum, &band])));
        }
        let squares = squares.expect("a level has channels");
        let distances = writer.apply("Sqrt", &[&squares]);
        let mut distances = writer.reshaped(&distances, &[sizes_of, -1]);
        if !in_order {
            distances = writer.chosen(&distances, 0, &place);
        }
        Ok(writer.transposed(&distances, &[1, 0]))
    }
}
