//! Sinusoidal encoding of positions (Vaswani et al. 2017), half of the values for rows and half for columns.

/// An encoding with `values` values for each position of a grid, `values` x `rows` x `cols`. For a wavelength of
/// 2 pi 10000^(2i / half), value 2i is the sine and value 2i + 1 the cosine of the column, and the same in the second half
/// of the row.
pub fn encoding(values: usize, rows: usize, cols: usize) -> Vec<f32> {
    let half = values / 2;
    let mut out = Vec::with_capacity(values * rows * cols);
    for value in 0..values {
        let place = value % half;
        let frequency = (-(10_000f64.ln()) * (place / 2 * 2) as f64 / half as f64).exp();
        for y in 0..rows {
            for x in 0..cols {
                let angle = frequency * if value < half { x } else { y } as f64;
                out.push(if place.is_multiple_of(2) { angle.sin() } else { angle.cos() } as f32);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_have_sines_and_cosines_of_columns_and_rows() {
        let values = encoding(8, 3, 4);
        let at = |value: usize, y: usize, x: usize| values[(value * 3 + y) * 4 + x];
        assert_eq!((values.len(), at(0, 2, 0), at(1, 2, 0)), (96, 0.0, 1.0));
        assert!((at(0, 1, 3) - 3f32.sin()).abs() < 1e-6 && (at(5, 2, 1) - 2f32.cos()).abs() < 1e-6);
        assert!((at(2, 0, 3) - 0.03f32.sin()).abs() < 1e-6, "the second wavelength is a hundred times as long");
    }
}
