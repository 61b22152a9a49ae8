//! The outer contour of a region, by Moore-neighbour tracing.

use super::{Region, Run};
use crate::error::Result;
use crate::exec::memory::{try_grow, try_vec};

/// The outer contour, see [`Regions::contour`](super::Regions::contour).
///
/// The eight neighbours of each pixel are searched clockwise, starting after the last pixel outside. The trace ends
/// when it would move from the first pixel to the second again (Jacob's criterion). Reaching the first pixel is not
/// sufficient, since it may be the only connection between two parts of the region.
pub(super) fn outer_boundary(region: &Region, runs: &[Run]) -> Result<Vec<(i32, i32)>> {
    // A frame of one pixel, so that every pixel of the region has eight neighbours.
    let stride = region.width + 2;
    let mut inside = try_vec(stride * (region.height + 2), false)?;
    let index = |x: usize, y: usize| (y - region.y + 1) * stride + x - region.x + 1;
    for run in runs {
        inside[index(run.start, run.y)..][..run.end - run.start].fill(true);
    }

    // Clockwise from the right; y points down.
    let down = stride as isize;
    let steps = [1, down + 1, down, down - 1, -1, -down - 1, -down, -down + 1];
    let neighbour = |at: usize, direction: usize| at.wrapping_add_signed(steps[direction % steps.len()]);
    let search = |at: usize, first: usize| {
        (first..first + steps.len())
            .find(|direction| inside[neighbour(at, *direction)])
            .map(|found| found % steps.len())
    };
    let point = |at: usize| ((region.x + at % stride) as i32 - 1, (region.y + at / stride) as i32 - 1);

    let first = index(runs[0].start, runs[0].y);
    // The pixels to the left of and above the first pixel are outside.
    let Some(leave) = search(first, 0) else {
        return Ok(vec![point(first)]);
    };
    let (mut points, mut at, mut direction) = (Vec::new(), first, leave);
    loop {
        try_grow(&mut points, 1)?;
        points.push(point(at));
        at = neighbour(at, direction);
        // The search starts two directions back, at or after the last pixel outside.
        direction = search(at, direction + 6).unwrap_or(direction);
        if (at, direction) == (first, leave) {
            return Ok(points);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::exec::rows::Rows;
    use crate::postprocess::RegionFinder;
    use proptest::prelude::*;

    fn contour(rows: &[&str]) -> Vec<(i32, i32)> {
        let map: Vec<f32> = rows.iter().flat_map(|row| row.bytes().map(|b| f32::from(u8::from(b == b'#')))).collect();
        let mut finder = RegionFinder::default();
        let width = rows[0].len();
        let regions = finder.find(Rows::from_slice(&map, width, rows.len(), width).unwrap(), 0.5, 1).unwrap();
        assert_eq!(regions.len(), 1);
        regions.contour(0).unwrap()
    }

    #[test]
    fn a_trace_goes_clockwise_from_the_first_pixel() {
        assert_eq!(contour(&["...", ".#.", "..."]), [(1, 1)]);
        assert_eq!(contour(&["##"]), [(0, 0), (1, 0)]);
        assert_eq!(contour(&["##", "##"]), [(0, 0), (1, 0), (1, 1), (0, 1)]);
        assert_eq!(contour(&["#", "#", "#"]), [(0, 0), (0, 1), (0, 2), (0, 1)]);
        let ring = [(1, 0), (2, 1), (1, 2), (0, 1)];
        assert_eq!(contour(&[".#.", "#.#", ".#."]), ring, "a hole has no part in it");
        // The first pixel connects both arms, so the trace passes it before it ends.
        assert_eq!(contour(&[".#.", "#.#"]), [(1, 0), (2, 1), (1, 0), (0, 1)]);
    }

    /// Whether each pixel of a framed box is reached from the frame by steps to the four neighbours that are not `wall`.
    fn reached(wall: &[bool], stride: usize) -> Vec<bool> {
        let (mut reached, mut open) = (vec![false; wall.len()], vec![0]);
        while let Some(at) = open.pop() {
            if !wall[at] && !std::mem::replace(&mut reached[at], true) {
                let x = at % stride;
                open.extend((x > 0).then(|| at - 1));
                open.extend((x + 1 < stride).then(|| at + 1));
                open.extend(at.checked_sub(stride));
                open.extend(Some(at + stride).filter(|below| *below < wall.len()));
            }
        }
        reached
    }

    proptest! {
        #[test]
        fn a_contour_encloses_its_region(width in 1usize..20, height in 1usize..20, dense in 2usize..7, seed in any::<u64>()) {
            let mut random = crate::math::random::Random::new(seed);
            let map: Vec<f32> = (0..width * height).map(|_| random.below(dense) as f32).collect();
            let mut finder = RegionFinder::default();
            let regions = finder.find(Rows::from_slice(&map, width, height, width).unwrap(), 0.5, 1).unwrap();
            let stride = width + 2;
            let index = |x: usize, y: usize| (y + 1) * stride + x + 1;
            for number in 0..regions.len() {
                let mut inside = vec![false; stride * (height + 2)];
                for run in regions.runs(number) {
                    inside[index(run.start, run.y)..index(run.end, run.y)].fill(true);
                }
                let outside = reached(&inside, stride);
                let contour = regions.contour(number).unwrap();
                let first = regions.runs(number)[0];
                prop_assert_eq!(contour[0], (first.start as i32, first.y as i32));
                let mut wall = vec![false; inside.len()];
                for (&(x, y), &(next_x, next_y)) in contour.iter().zip(contour.iter().cycle().skip(1)) {
                    let distance = (x - next_x).abs().max((y - next_y).abs());
                    prop_assert_eq!(distance, i32::from(contour.len() > 1), "a closed chain of neighbours");
                    let at = index(x as usize, y as usize);
                    prop_assert!(inside[at], "a pixel of the region");
                    prop_assert!([at - 1, at + 1, at - stride, at + stride].iter().any(|n| outside[*n]), "next to its outside");
                    wall[at] = true;
                }
                // What cannot be reached without crossing the contour is the region and its holes.
                prop_assert_eq!(reached(&wall, stride), outside);
                // Twice the signed area: y points down, so clockwise is positive.
                let area: i32 = contour.iter().zip(contour.iter().cycle().skip(1)).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
                prop_assert!(area >= 0, "clockwise");
            }
        }
    }
}
