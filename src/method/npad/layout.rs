//! The positions of a grid in blocks that share a covariance.

use crate::error::Result;
use crate::exec::memory::{try_copy, try_reserve};

/// Blocks of neighbouring positions, smaller at the right and lower edge. Within a level, positions are
/// numbered block by block.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// The first position of each block, and the number of positions.
    starts: Vec<usize>,
    /// The position of the grid, counted row by row, that each position of the level is.
    grid: Vec<usize>,
}

impl Layout {
    /// A grid of `rows` x `cols` positions in blocks of `block` (rows, columns).
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    pub fn new(rows: usize, cols: usize, block: (usize, usize)) -> Result<Self> {
        let (mut starts, mut grid) = (Vec::new(), Vec::new());
        try_reserve(&mut starts, rows.div_ceil(block.0) * cols.div_ceil(block.1) + 1)?;
        try_reserve(&mut grid, rows * cols)?;
        starts.push(0);
        for top in (0..rows).step_by(block.0) {
            for left in (0..cols).step_by(block.1) {
                for row in top..(top + block.0).min(rows) {
                    grid.extend((left..(left + block.1).min(cols)).map(|col| row * cols + col));
                }
                starts.push(grid.len());
            }
        }
        Ok(Self { starts, grid })
    }

    /// A copy.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { starts: try_copy(&self.starts)?, grid: try_copy(&self.grid)? })
    }

    /// The first position of each block, and the number of positions.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.starts.len() - 1
    }

    /// The position of the grid that each position of the level is.
    pub fn grid(&self) -> &[usize] {
        &self.grid
    }

    /// The positions of the grid in block `b`.
    pub fn block(&self, b: usize) -> &[usize] {
        &self.grid[self.starts[b]..self.starts[b + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_in_one_block_of_neighbours() {
        for (rows, cols, tall, wide) in
            [(1, 1, 2, 2), (4, 6, 1, 2), (5, 7, 2, 2), (5, 7, 3, 1), (3, 3, 1, 1), (2, 2, 9, 9)]
        {
            let layout = Layout::new(rows, cols, (tall, wide)).unwrap();
            assert_eq!(layout.blocks(), rows.div_ceil(tall) * cols.div_ceil(wide));
            let mut all = layout.grid().to_vec();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..rows * cols));
            for b in 0..layout.blocks() {
                let block = layout.block(b);
                let place = |p: usize| (p / cols / tall, p % cols / wide);
                assert!(block.iter().all(|p| place(*p) == place(block[0])));
            }
        }
        assert!(
            Layout::new(3, 4, (1, 1)).unwrap().grid().iter().copied().eq(0..12),
            "blocks of one position change no order"
        );
    }
}
