//! Computing networks with candle, which keeps what the gradient needs.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor, Var};

use super::ops::Ops;
use super::weights::{Convolution, Weight, Weights};
use crate::error::{Error, Result, Status};

/// The weights of a network as tensors. May be used from several threads at once.
pub struct Tape {
    weights: Vec<Tensor>,
    trained: Vec<Var>,
}

impl Tape {
    /// The weights with their present values.
    ///
    /// # Errors
    /// [`Status::Internal`] when candle fails.
    pub fn new(weights: &Weights) -> Result<Self> {
        let (mut tensors, mut trained) = (Vec::new(), Vec::new());
        for entry in weights.entries() {
            let tensor = tensor(&entry.values, &entry.shape)?;
            if entry.trained {
                let variable = Var::from_tensor(&tensor).map_err(failed)?;
                tensors.push(variable.as_tensor().clone());
                trained.push(variable);
            } else {
                tensors.push(tensor);
            }
        }
        Ok(Self { weights: tensors, trained })
    }

    /// The gradient of `loss` by the trained values, one array after the other.
    ///
    /// # Errors
    /// [`Status::Internal`] when candle fails.
    pub fn gradient(&self, loss: &Tensor) -> Result<Vec<f32>> {
        let gradients = loss.backward().map_err(failed)?;
        let mut all = Vec::new();
        for variable in &self.trained {
            match gradients.get(variable) {
                Some(gradient) => all.extend(values(gradient)?),
                // The loss does not depend on it.
                None => all.resize(all.len() + variable.elem_count(), 0.0),
            }
        }
        Ok(all)
    }
}

/// A tensor of these values.
///
/// # Errors
/// [`Status::Internal`] when candle fails.
pub fn tensor(values: &[f32], shape: &[usize]) -> Result<Tensor> {
    Tensor::from_slice(values, shape, &Device::Cpu).map_err(failed)
}

/// The values of a tensor in standard order.
///
/// # Errors
/// [`Status::Internal`] when candle fails.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(failed)
}

/// The sum of scalars.
///
/// # Errors
/// [`Status::Internal`] when candle fails.
pub fn total(scalars: &[Tensor]) -> Result<Tensor> {
    Tensor::stack(scalars, 0).and_then(|all| all.sum_all()).map_err(failed)
}

/// An error of candle, which no input of a fit should cause.
pub fn failed(error: candle_core::Error) -> Error {
    Error::new(Status::Internal, format!("the training failed: {error}"))
}

impl Ops for &Tape {
    type Value = Tensor;

    fn weight(&mut self, weight: Weight) -> Result<Tensor> {
        Ok(self.weights[Weights::index(weight)].clone())
    }

    fn convolution(&mut self, x: &Tensor, convolution: Convolution) -> Result<Tensor> {
        let (weight, bias) = (self.weight(convolution.weight)?, self.weight(convolution.bias)?);
        convolve(x, &weight, &bias).map_err(failed)
    }

    fn channels(&mut self, x: &Tensor, first: usize, count: usize) -> Result<Tensor> {
        x.narrow(0, first, count).map_err(failed)
    }

    fn join(&mut self, parts: &[&Tensor]) -> Result<Tensor> {
        Tensor::cat(parts, 0).map_err(failed)
    }

    fn permute(&mut self, x: &Tensor, order: &[usize]) -> Result<Tensor> {
        let order: Vec<u32> = order.iter().map(|channel| *channel as u32).collect();
        Tensor::new(order, &Device::Cpu).and_then(|order| x.index_select(&order, 0)).map_err(failed)
    }

    fn relu(&mut self, x: &Tensor) -> Result<Tensor> {
        x.relu().map_err(failed)
    }

    fn tanh(&mut self, x: &Tensor) -> Result<Tensor> {
        x.tanh().map_err(failed)
    }

    fn exp(&mut self, x: &Tensor) -> Result<Tensor> {
        x.exp().map_err(failed)
    }

    fn add(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.broadcast_add(b).map_err(failed)
    }

    fn subtract(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.broadcast_sub(b).map_err(failed)
    }

    fn multiply(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.broadcast_mul(b).map_err(failed)
    }

    fn divide(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.broadcast_div(b).map_err(failed)
    }

    fn sqrt(&mut self, x: &Tensor) -> Result<Tensor> {
        x.sqrt().map_err(failed)
    }

    fn scale(&mut self, x: &Tensor, factor: f32) -> Result<Tensor> {
        x.affine(f64::from(factor), 0.0).map_err(failed)
    }

    fn sum_channels(&mut self, x: &Tensor) -> Result<Tensor> {
        x.sum_keepdim(0).map_err(failed)
    }
}

/// A convolution as one matrix product with a row for each weight of a kernel.
fn convolve(x: &Tensor, weight: &Tensor, bias: &Tensor) -> candle_core::Result<Tensor> {
    let ((inputs, rows, cols), (outputs, _, side, _)) = (x.dims3()?, weight.dims4()?);
    let columns =
        if side == 1 { x.reshape((inputs, rows * cols))? } else { x.contiguous()?.apply_op1(Unfold(side))? };
    let weight = weight.reshape((outputs, inputs * side * side))?;
    let product = weight.matmul(&columns)?.reshape((outputs, rows, cols))?;
    product.broadcast_add(&bias.reshape((outputs, 1, 1))?)
}

/// The values under a kernel of `side` x `side` positions at each position: (channels * side * side) x (rows * columns).
#[derive(Debug, Clone, Copy)]
struct Unfold(usize);

impl Unfold {
    /// Calls `work` with the place of each run of values that stand together in the input, in the output, and their number.
    fn runs(self, (channels, rows, cols): (usize, usize, usize), mut work: impl FnMut(usize, usize, usize)) {
        let Self(side) = self;
        let radius = side / 2;
        for c in 0..channels {
            for dy in 0..side {
                for dx in 0..side {
                    let row = ((c * side + dy) * side + dx) * rows * cols;
                    // Columns of the output whose input column lies within the map.
                    let (left, right) = (radius.saturating_sub(dx), cols.min(cols + radius - dx.min(cols + radius)));
                    for y in radius.saturating_sub(dy)..rows.min((rows + radius).saturating_sub(dy)) {
                        if left < right {
                            let from = (c * rows + y + dy - radius) * cols + left + dx - radius;
                            work(from, row + y * cols + left, right - left);
                        }
                    }
                }
            }
        }
    }
}

impl CustomOp1 for Unfold {
    fn name(&self) -> &'static str {
        "unfold"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape @ (channels, rows, cols) = layout.shape().dims3()?;
        let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::msg("not contiguous"))?;
        let x = &storage.as_slice::<f32>()?[start..end];
        let mut columns = vec![0.0; channels * self.0 * self.0 * rows * cols];
        self.runs(shape, |from, to, count| columns[to..to + count].copy_from_slice(&x[from..from + count]));
        Ok((CpuStorage::F32(columns), Shape::from((channels * self.0 * self.0, rows * cols))))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let shape = x.dims3()?;
        gradient.contiguous()?.apply_op1_no_bwd(&Fold { side: self.0, shape }).map(Some)
    }
}

/// The transpose of [`Unfold`].
struct Fold {
    side: usize,
    shape: (usize, usize, usize),
}

impl CustomOp1 for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::msg("not contiguous"))?;
        let columns = &storage.as_slice::<f32>()?[start..end];
        let (channels, rows, cols) = self.shape;
        let mut sum = vec![0.0; channels * rows * cols];
        Unfold(self.side).runs(self.shape, |from, to, count| {
            let columns = &columns[to..to + count];
            sum[from..from + count].iter_mut().zip(columns).for_each(|(sum, value)| *sum += value);
        });
        Ok((CpuStorage::F32(sum), Shape::from(self.shape)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::naive::uniform;
    use super::*;
    use crate::math::random::Random;

    fn unfolded(x: &[f32], (channels, rows, cols): (usize, usize, usize), side: usize) -> Vec<f32> {
        let radius = (side / 2) as isize;
        let mut columns = Vec::new();
        for c in 0..channels {
            for (dy, dx) in (0..side).flat_map(|dy| (0..side).map(move |dx| (dy as isize, dx as isize))) {
                for (y, x_) in (0..rows).flat_map(|y| (0..cols).map(move |x| (y as isize, x as isize))) {
                    let (v, u) = (y + dy - radius, x_ + dx - radius);
                    let within = (0..rows as isize).contains(&v) && (0..cols as isize).contains(&u);
                    columns.push(if within { x[(c * rows + v as usize) * cols + u as usize] } else { 0.0 });
                }
            }
        }
        columns
    }

    proptest! {
        #[test]
        fn unfolding_equals_the_definition_and_folding_is_its_transpose(
            channels in 1usize..4, rows in 1usize..6, cols in 1usize..6, radius in 0usize..4, seed in any::<u64>(),
        ) {
            let (side, mut random) = (2 * radius + 1, Random::new(seed));
            let mut draw = |count| uniform(count, 1.0, &mut random);
            let count = channels * rows * cols;
            let (x, y) = (draw(count), draw(count * side * side));
            let map = tensor(&x, &[channels, rows, cols]).unwrap();
            let columns = map.apply_op1_no_bwd(&Unfold(side)).unwrap();
            prop_assert_eq!(columns.dims(), [channels * side * side, rows * cols]);
            let columns = values(&columns).unwrap();
            prop_assert_eq!(&columns, &unfolded(&x, (channels, rows, cols), side));

            let fold = Fold { side, shape: (channels, rows, cols) };
            let sum = tensor(&y, &[channels * side * side, rows * cols]).unwrap().apply_op1_no_bwd(&fold).unwrap();
            prop_assert_eq!(sum.dims(), [channels, rows, cols]);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let (of_columns, of_maps) = (dot(&columns, &y), dot(&x, &values(&sum).unwrap()));
            prop_assert!((of_columns - of_maps).abs() < 1e-6 * y.len() as f64, "{} and {}", of_columns, of_maps);
        }
    }
}
