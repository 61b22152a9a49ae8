//! Resizes maps from the network's input size to the image's size.

use crate::error::Result;
use crate::exec::Threads;
use crate::exec::rows::{RowsMut, RowsOut};
use crate::math::axis::{Axis, Separable};

/// Bilinear resizing of maps; tables are reused for maps of the same size.
#[derive(Default)]
pub struct Resizer {
    sizes: Option<[(usize, usize); 2]>,
    resize: Option<Separable>,
}

impl Resizer {
    /// Resizes `map`, whose rows are contiguous and whose size `from` is rows and columns, to the size of `out`.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::error::Status::OutOfMemory).
    pub fn run<'a>(
        &mut self,
        map: &[f32],
        from: (usize, usize),
        out: RowsOut<'a, f32>,
        threads: &Threads,
    ) -> Result<RowsMut<'a, f32>> {
        let to = (out.height(), out.width());
        if self.sizes != Some([from, to]) {
            let new = || Separable::new(Axis::bilinear(from.0, to.0), Axis::bilinear(from.1, to.1));
            self.resize = (from != to).then(new);
            self.sizes = Some([from, to]);
        }
        Ok(match &mut self.resize {
            Some(resize) => {
                let lines = resize.across(map, threads)?;
                out.write_parallel(0.0, threads, |y, row| lines.add_row(y, row))
            }
            None => out.write_parallel(0.0, threads, |y, row| row.copy_from_slice(&map[y * to.1..][..to.1])),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::rows::Rows;
    use proptest::prelude::*;

    fn plane(length: usize, seed: u64) -> Vec<f32> {
        let mut random = crate::math::random::Random::new(seed);
        (0..length).map(|_| random.below(1000) as f32 / 1000.0).collect()
    }

    proptest! {
        #[test]
        fn rows_get_what_a_plain_sum_gives_and_the_padding_stays(
            rows in 1usize..9, cols in 1usize..9, height in 1usize..50, width in 1usize..140, padding in 0usize..3,
            seed in any::<u64>(),
        ) {
            let (map, stride) = (plane(rows * cols, seed), width + padding);
            let threads = Threads::new(2).unwrap();
            let mut expected = vec![0.0; width * height];
            Separable::new(Axis::bilinear(rows, height), Axis::bilinear(cols, width))
                .add(&map, &mut expected, &threads)
                .unwrap();
            // The previous content of the memory has no influence.
            let mut values = vec![f32::NAN; stride * height];
            let out = RowsOut::from_slice(&mut values, width, height, stride).unwrap();
            Resizer::default().run(&map, (rows, cols), out, &threads).unwrap();
            for (y, row) in values.chunks(stride).enumerate() {
                let expected = &expected[y * width..][..width];
                if (rows, cols) == (height, width) {
                    prop_assert_eq!(&row[..width], &map[y * width..][..width]);
                } else {
                    prop_assert!(row.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()));
                }
                prop_assert!(row[width..].iter().all(|value| value.is_nan()), "the padding of row {}", y);
            }
        }
    }

    #[test]
    #[allow(unsafe_code)]
    fn two_threads_fill_the_halves_of_one_uninitialised_matrix() {
        use std::mem::MaybeUninit;
        const SIZE: (usize, usize) = (60, 80);
        let maps = [plane(35, 1), plane(35, 2)];
        let threads = Threads::new(2).unwrap();
        let mut matrix = vec![MaybeUninit::<f32>::uninit(); 2 * SIZE.0 * SIZE.1];
        let (start, stride) = (matrix.as_mut_ptr().cast::<f32>(), 2 * SIZE.1);
        // SAFETY: the halves do not overlap, and both end before the matrix is looked at again.
        let halves = [0, SIZE.1].map(|x| unsafe { RowsOut::from_raw(start.add(x), SIZE.1, SIZE.0, stride).unwrap() });
        std::thread::scope(|scope| {
            for (out, map) in halves.into_iter().zip(&maps) {
                let threads = &threads;
                scope.spawn(move || Resizer::default().run(map, (5, 7), out, threads).map(|_| ()).unwrap());
            }
        });
        for (half, map) in maps.iter().enumerate() {
            // SAFETY: every row of both halves has been written.
            let rows = unsafe { Rows::from_raw(start.add(half * SIZE.1), SIZE.1, SIZE.0, stride).unwrap() };
            let mut alone = vec![0.0; SIZE.0 * SIZE.1];
            let out = RowsOut::from_slice(&mut alone, SIZE.1, SIZE.0, SIZE.1).unwrap();
            Resizer::default().run(map, (5, 7), out, &threads).unwrap();
            assert!(rows.iter().eq(alone.chunks(SIZE.1)), "half {half}");
        }
    }
}
