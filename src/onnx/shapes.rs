//! The shapes of results, for the operators, settings and operands that networks of this library have.

use prost::bytes::Bytes;

use super::messages::{ElementType, Setting};

/// What an operator is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// The input of the network, or a result that depends on it.
    Computed(Vec<usize>),
    /// A constant of f32: its shape, and its values if they are stored so.
    Floats(Vec<usize>, Bytes),
    /// A constant of f16.
    Halves(Vec<usize>),
    /// A constant list of integers.
    Integers(Vec<i64>),
    /// Nothing.
    Absent,
}

/// The result of an operator, or none if no network of this library has it with such operands or settings.
pub fn infer(operator: &str, operands: &[Operand], settings: &[(&str, Setting<'_>)]) -> Option<Operand> {
    use Operand::{Absent, Computed, Floats, Halves, Integers};
    use Setting::{Int, Ints, Word};
    const FLOAT: i64 = ElementType::Float as i64;
    let shape = match (operator, operands, settings) {
        ("Cast", [Halves(shape)], [("to", Int(FLOAT))]) => return Some(Floats(shape.clone(), Bytes::new())),
        ("Exp" | "Relu" | "Sqrt" | "Tanh", [Computed(x)], []) => x.clone(),
        ("Add" | "Sub" | "Mul" | "Div", [_, _], []) | ("Sum", _, []) => broadcast(operands)?,
        ("Concat", _, [("axis", Int(axis))]) => concatenate(operands, usize::try_from(*axis).ok()?)?,
        ("Conv", [Computed(x), Floats(weights, _), Floats(bias, _)], _) => convolve(x, weights, bias, settings)?,
        ("Gather", [Computed(x), Integers(numbers)], [("axis", Int(1))]) => {
            let side = i64::try_from(*x.get(1)?).ok()?;
            numbers.iter().all(|number| (0..side).contains(number)).then(|| replaced(x, 1, numbers.len()))?
        }
        ("MatMul", [Floats(matrices, _), Computed(x)], []) => match (&matrices[..], &x[..]) {
            ([count, rows, inner], [others, same, cols]) if count == others && inner == same => {
                vec![*count, *rows, *cols]
            }
            _ => return None,
        },
        ("ReduceL2", [Computed(x)], [("axes", Ints([1]))]) if x.len() > 1 => replaced(x, 1, 1),
        ("ReduceSum", [Computed(x), Integers(axes)], []) if axes == &[1] && x.len() > 1 => replaced(x, 1, 1),
        ("Reshape", [Computed(x), Integers(sides)], []) => reshape(x, sides)?,
        (
            "Resize",
            [Computed(x), Absent, Floats(_, factors)],
            [("mode", Word("linear")), ("coordinate_transformation_mode", Word("half_pixel"))],
        ) => resize(x, factors)?,
        ("Slice", [Computed(x), Integers(from), Integers(to), Integers(axes)], []) => cut(x, from, to, axes)?,
        ("Transpose", [Computed(x)], [("perm", Ints(order))]) => transpose(x, order)?,
        _ => return None,
    };
    (!shape.contains(&0)).then_some(Computed(shape))
}

/// The shape with another extent along an axis.
fn replaced(shape: &[usize], axis: usize, side: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[axis] = side;
    shape
}

/// Shapes of which extents of 1, and those that a shape lacks in front, are repeated. At least one must be computed.
fn broadcast(operands: &[Operand]) -> Option<Vec<usize>> {
    let mut result: Vec<usize> = Vec::new();
    let mut computed = false;
    for operand in operands {
        let (Operand::Computed(shape) | Operand::Floats(shape, _)) = operand else { return None };
        computed |= matches!(operand, Operand::Computed(_));
        let rank = result.len().max(shape.len());
        let side = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
        let sides = (0..rank).map(|axis| match (side(&result, axis), side(shape, axis)) {
            (1, side) | (side, 1) => Some(side),
            (a, b) => (a == b).then_some(a),
        });
        result = sides.collect::<Option<_>>()?;
    }
    computed.then_some(result)
}

fn concatenate(operands: &[Operand], axis: usize) -> Option<Vec<usize>> {
    let mut result: Option<Vec<usize>> = None;
    let mut computed = false;
    for operand in operands {
        let (Operand::Computed(shape) | Operand::Floats(shape, _)) = operand else { return None };
        computed |= matches!(operand, Operand::Computed(_));
        let side = *shape.get(axis)?;
        result = Some(match result {
            None => shape.clone(),
            Some(before) => {
                let same = replaced(&before, axis, side) == *shape;
                same.then(|| before[axis].checked_add(side).map(|sum| replaced(&before, axis, sum))).flatten()?
            }
        });
    }
    result.filter(|_| computed)
}

/// A convolution of odd side that keeps the size.
fn convolve(x: &[usize], weights: &[usize], bias: &[usize], settings: &[(&str, Setting<'_>)]) -> Option<Vec<usize>> {
    use Setting::Ints;
    let ([1, inputs, rows, cols], [outputs, of, side, width]) = (x, weights) else { return None };
    let (kernel, pad) = (i64::try_from(*side).ok()?, i64::try_from(side / 2).ok()?);
    let right = match settings {
        [("kernel_shape", Ints(sides))] => **sides == [kernel; 2] && pad == 0,
        [("kernel_shape", Ints(sides)), ("pads", Ints(pads))] => **sides == [kernel; 2] && **pads == [pad; 4],
        _ => false,
    };
    let fit = of == inputs && side == width && side % 2 == 1 && bias == [*outputs];
    (right && fit).then(|| vec![1, *outputs, *rows, *cols])
}

fn reshape(x: &[usize], sides: &[i64]) -> Option<Vec<usize>> {
    let shape: Vec<usize> = sides.iter().map(|side| usize::try_from(*side).ok()).collect::<Option<_>>()?;
    let count = |shape: &[usize]| shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
    (count(&shape)? == count(x)?).then_some(shape)
}

/// Rows and columns times one whole factor.
fn resize(x: &[usize], factors: &Bytes) -> Option<Vec<usize>> {
    const MOST: f32 = 1024.0;
    let values: Vec<f32> =
        factors.chunks_exact(4).map(|v| f32::from_le_bytes(v.try_into().expect("four bytes"))).collect();
    let ([1, channels, rows, cols], [1.0, 1.0, down, across]) = (x, &values[..]) else { return None };
    if down != across || !(1.0..=MOST).contains(down) || down.fract() != 0.0 {
        return None;
    }
    let factor = *down as usize;
    Some(vec![1, *channels, rows.checked_mul(factor)?, cols.checked_mul(factor)?])
}

fn cut(x: &[usize], from: &[i64], to: &[i64], axes: &[i64]) -> Option<Vec<usize>> {
    if from.len() != axes.len() || to.len() != axes.len() {
        return None;
    }
    let mut shape = x.to_vec();
    for (number, ((from, to), axis)) in from.iter().zip(to).zip(axes).enumerate() {
        let (from, to) = (usize::try_from(*from).ok()?, usize::try_from(*to).ok()?);
        let at = usize::try_from(*axis).ok().filter(|at| *at < x.len())?;
        if axes[..number].contains(axis) || from >= to || to > x[at] {
            return None;
        }
        shape[at] = to - from;
    }
    Some(shape)
}

fn transpose(x: &[usize], order: &[i64]) -> Option<Vec<usize>> {
    let from: Vec<usize> = order.iter().map(|axis| usize::try_from(*axis).ok()).collect::<Option<_>>()?;
    let all = (0..x.len()).all(|axis| from.contains(&axis));
    (all && from.len() == x.len()).then(|| from.iter().map(|axis| x[*axis]).collect())
}
