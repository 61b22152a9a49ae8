//! Padding that depends on the size of the input, written as numbers.
//!
//! ONNX has deprecated the setting `auto_pad`, and some programs (OpenCV 5) pad by other amounts where it meets strides.

use std::collections::HashMap;

use super::messages::{Attribute, AttributeType, Graph, Node};

/// Operators whose results have the rows and columns of their first operand.
const SAME_SIZE: &[&str] = &[
    "BatchNormalization",
    "Clip",
    "Elu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Relu",
    "Sigmoid",
    "Tanh",
];
/// Operators that repeat operands of one row and column.
const BROADCASTING: &[&str] = &["Add", "Div", "Mul", "PRelu", "Sub"];

/// The nodes of a network for an image of a size (rows, columns), with the padding of convolutions and poolings in numbers as far as
/// their sizes follow from that of the image.
///
/// # Errors
/// What padding cannot be written so.
pub fn explicit(graph: &Graph, input: &str, size: (usize, usize)) -> Result<Vec<Node>, String> {
    let mut sizes = HashMap::from([(input.to_owned(), size)]);
    let mut nodes = graph.node.clone();
    for node in &mut nodes {
        let first = node.input.first().and_then(|name| sizes.get(name)).copied();
        let slides = matches!(&*node.op_type, "Conv" | "MaxPool" | "AveragePool");
        let automatic = |attribute: &Attribute| {
            attribute.name == "auto_pad" && attribute.s.as_deref().is_some_and(|word| word.starts_with(b"SAME"))
        };
        if !slides && node.attribute.iter().any(automatic) {
            return Err(format!("has auto_pad in the operator {}, which {OTHERWISE}", node.op_type));
        }
        let result = match &*node.op_type {
            "Conv" | "MaxPool" | "AveragePool" => {
                if Window::of(graph, node).is_some_and(|window| window.crops(first)) {
                    return Err(format!(
                        "has auto_pad in the operator {} with strides larger than its window: ONNX Runtime leaves out the first \
                         pixels there, and {OTHERWISE}",
                        node.op_type
                    ));
                }
                first.and_then(|size| slide(graph, node, size))
            }
            operator if SAME_SIZE.contains(&operator) => first,
            operator if BROADCASTING.contains(&operator) => {
                let operands = node.input.iter().map(|name| sizes.get(name).copied().or_else(|| constant(graph, name)));
                operands.reduce(|a, b| broadcast(a?, b?)).flatten()
            }
            // Along the channels.
            "Concat" if node.attribute.iter().any(|axis| axis.i == Some(1)) => {
                first.filter(|size| node.input.iter().all(|name| sizes.get(name) == Some(size)))
            }
            _ => None,
        };
        if let (Some(size), Some(name)) = (result, node.output.first()) {
            sizes.insert(name.clone(), size);
        }
    }
    Ok(nodes)
}

/// The last two extents of a constant.
fn constant(graph: &Graph, name: &str) -> Option<(usize, usize)> {
    let tensor = graph.initializer.iter().find(|tensor| tensor.name == name)?;
    let mut last = tensor.dims.iter().rev().map(|side| usize::try_from(*side).ok());
    let (cols, rows) = (last.next().unwrap_or(Some(1))?, last.next().unwrap_or(Some(1))?);
    Some((rows, cols))
}

fn broadcast(a: (usize, usize), b: (usize, usize)) -> Option<(usize, usize)> {
    let side = |a: usize, b: usize| match (a, b) {
        (1, side) | (side, 1) => Some(side),
        (a, b) => (a == b).then_some(a),
    };
    Some((side(a.0, b.0)?, side(a.1, b.1)?))
}

/// Why a network is refused, and what helps.
const OTHERWISE: &str = "other programs pad otherwise; write its padding in numbers (pads)";

/// How an operator slides over rows and columns.
struct Window {
    /// Positions from its first to its last.
    covered: [usize; 2],
    strides: [usize; 2],
    /// The word of the setting `auto_pad`.
    padding: Vec<u8>,
}

impl Window {
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let find = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
        let pair = |name: &str, default: usize| match find(name).map(|attribute| &attribute.ints[..]) {
            None => Some([default; 2]),
            Some([a, b]) => Some([usize::try_from(*a).ok()?, usize::try_from(*b).ok()?]),
            Some(_) => None,
        };
        let sides = if find("kernel_shape").is_some() {
            pair("kernel_shape", 1)?
        } else {
            let weights = graph.initializer.iter().find(|tensor| node.input.get(1) == Some(&tensor.name))?;
            let [_, _, height, width] = weights.dims[..] else { return None };
            [usize::try_from(height).ok()?, usize::try_from(width).ok()?]
        };
        let (strides, dilations) = (pair("strides", 1)?, pair("dilations", 1)?);
        if strides.contains(&0) || sides.contains(&0) {
            return None;
        }
        let covered = [0, 1].map(|axis| dilations[axis] * (sides[axis] - 1) + 1);
        let padding = find("auto_pad").and_then(|attribute| attribute.s.clone()).unwrap_or_else(|| b"NOTSET".to_vec());
        Some(Self { covered, strides, padding })
    }

    /// The automatic padding before and after an axis: less than none where the window leaves out pixels.
    fn automatic(&self, axis: usize, length: usize) -> (isize, isize) {
        let (stride, covered) = (self.strides[axis], self.covered[axis]);
        let total = (length.div_ceil(stride).saturating_sub(1) * stride + covered) as isize - length as isize;
        let before = if self.padding == b"SAME_LOWER" { (total + 1) / 2 } else { total / 2 };
        (before, total - before)
    }

    /// Whether automatic padding leaves out the first pixels of an image of a size, or, where the size is not known, of any.
    fn crops(&self, size: Option<(usize, usize)>) -> bool {
        if !self.padding.starts_with(b"SAME") {
            return false;
        }
        [0, 1].into_iter().any(|axis| match size {
            Some((rows, cols)) => self.automatic(axis, [rows, cols][axis]).0 < 0,
            None => self.strides[axis] >= self.covered[axis] + 2,
        })
    }
}

/// Writes the padding of an operator with a sliding window, and returns the size of its result.
fn slide(graph: &Graph, node: &mut Node, (rows, cols): (usize, usize)) -> Option<(usize, usize)> {
    let find = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    if find("ceil_mode").is_some_and(|attribute| attribute.i != Some(0)) {
        return None;
    }
    let window = Window::of(graph, node)?;
    let Window { covered, strides, padding } = &window;
    let given: Vec<usize> = match find("pads") {
        None => vec![0; 4],
        Some(pads) => pads.ints.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>()?,
    };
    if given.len() != 4 {
        return None;
    }
    let mut pads = [0i64; 4];
    let mut result = [0; 2];
    for (axis, length) in [rows, cols].into_iter().enumerate() {
        let covered = covered[axis];
        let (before, after) = match &padding[..] {
            // What is left out at the end is so without padding.
            b"SAME_UPPER" | b"SAME_LOWER" => {
                let (before, after) = window.automatic(axis, length);
                (before.max(0) as usize, after.max(0) as usize)
            }
            b"VALID" => (0, 0),
            _ => (given[axis], given[axis + 2]),
        };
        result[axis] = (length + before + after).checked_sub(covered)? / strides[axis] + 1;
        (pads[axis], pads[axis + 2]) = (before as i64, after as i64);
    }
    node.attribute.retain(|attribute| attribute.name != "auto_pad" && attribute.name != "pads");
    let r#type = AttributeType::Ints.into();
    node.attribute.push(Attribute { name: "pads".to_owned(), ints: pads.to_vec(), r#type, ..Attribute::default() });
    Some((result[0], result[1]))
}

#[cfg(test)]
mod tests {
    use super::super::messages::Tensor;
    use super::*;

    fn ints(name: &str, values: &[i64]) -> Attribute {
        let r#type = AttributeType::Ints.into();
        Attribute { name: name.to_owned(), ints: values.to_vec(), r#type, ..Attribute::default() }
    }

    fn word(name: &str, value: &str) -> Attribute {
        let r#type = AttributeType::String.into();
        Attribute { name: name.to_owned(), s: Some(value.into()), r#type, ..Attribute::default() }
    }

    fn convolution(input: &str, output: &str, attribute: Vec<Attribute>) -> Node {
        let (input, output) = (vec![input.to_owned(), "weights".to_owned()], vec![output.to_owned()]);
        Node { input, output, op_type: "Conv".to_owned(), attribute, ..Node::default() }
    }

    fn pads(node: &Node) -> Option<&[i64]> {
        assert!(node.attribute.iter().all(|attribute| attribute.name != "auto_pad") || node.attribute.len() < 3);
        node.attribute.iter().find(|attribute| attribute.name == "pads").map(|attribute| &attribute.ints[..])
    }

    #[test]
    fn sizes_follow_through_a_network() {
        let weights = Tensor { name: "weights".to_owned(), dims: vec![8, 3, 3, 3], ..Tensor::default() };
        let step = |kind: &str| vec![word("auto_pad", kind), ints("strides", &[2, 2])];
        let relu = Node {
            input: vec!["a".to_owned()],
            output: vec!["b".to_owned()],
            op_type: "Relu".to_owned(),
            ..Node::default()
        };
        let mut unknown = relu.clone();
        (unknown.op_type, unknown.input, unknown.output) =
            ("Transpose".to_owned(), vec!["c".to_owned()], vec!["d".to_owned()]);
        let graph = Graph {
            node: vec![
                convolution("image", "a", step("SAME_UPPER")),
                relu,
                convolution("b", "c", step("SAME_LOWER")),
                unknown,
                convolution("d", "e", step("SAME_UPPER")),
            ],
            initializer: vec![weights],
            ..Graph::default()
        };
        // 10 x 7 becomes 5 x 4, and then 3 x 2.
        let nodes = explicit(&graph, "image", (10, 7)).unwrap();
        assert_eq!(pads(&nodes[0]), Some(&[0, 1, 1, 1][..]));
        assert_eq!(pads(&nodes[2]), Some(&[1, 1, 1, 0][..]));
        assert_eq!(nodes[4], graph.node[4], "of unknown size");
    }

    #[test]
    fn operands_of_one_row_and_column_are_repeated() {
        let node = |operator: &str, input: [&str; 2], output: &str| Node {
            input: input.map(str::to_owned).to_vec(),
            output: vec![output.to_owned()],
            op_type: operator.to_owned(),
            ..Node::default()
        };
        let pool =
            || Node { attribute: vec![ints("kernel_shape", &[8, 8])], ..node("AveragePool", ["image", ""], "mean") };
        let tensor =
            |name: &str, dims: &[i64]| Tensor { name: name.to_owned(), dims: dims.to_vec(), ..Tensor::default() };
        let step = || convolution("scaled", "a", vec![word("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])]);
        // The mean is multiplied with the image, or either of them with a constant, which may be larger.
        for (operands, expected) in [
            (["mean", "image"], Some([0, 0, 1, 1])),
            (["image", "factor"], Some([0, 0, 1, 1])),
            (["mean", "wide"], Some([0, 1, 1, 1])),
            (["image", "wide"], None),
            (["image", "unknown"], None),
        ] {
            let graph = Graph {
                node: vec![pool(), node("Mul", operands, "scaled"), step()],
                initializer: vec![
                    tensor("weights", &[8, 3, 3, 3]),
                    tensor("wide", &[3, 8, 9]),
                    tensor("factor", &[3, 1, 1]),
                ],
                ..Graph::default()
            };
            let nodes = explicit(&graph, "image", (8, 8)).unwrap();
            assert_eq!(pads(&nodes[2]), expected.as_ref().map(|pads| &pads[..]), "{operands:?}");
        }
    }

    /// With a convolution over single pixels at a distance of four, ONNX Runtime begins at the second one.
    #[test]
    fn padding_below_zero_is_refused() {
        let of = |kind: &str, side: i64, stride: i64| {
            let weights = Tensor { name: "weights".to_owned(), dims: vec![8, 3, side, side], ..Tensor::default() };
            let attributes = vec![word("auto_pad", kind), ints("strides", &[1, stride])];
            let node = vec![convolution("image", "a", attributes)];
            explicit(&Graph { node, initializer: vec![weights], ..Graph::default() }, "image", (9, 10))
        };
        for (side, stride, taken) in
            [(1, 1, true), (1, 2, true), (3, 4, true), (1, 4, true), (3, 8, true), (1, 6, false)]
        {
            assert_eq!(of("SAME_UPPER", side, stride).is_ok(), taken, "{side} {stride}");
        }
        // Two pixels less: one at each end, or both at the end.
        assert_eq!([of("SAME_UPPER", 1, 7).is_ok(), of("SAME_LOWER", 1, 7).is_ok()], [false, true]);
        assert_eq!(pads(&of("SAME_UPPER", 1, 2).unwrap()[0]), Some(&[0; 4][..]));
        let mut transposed = convolution("image", "a", vec![word("auto_pad", "SAME_LOWER")]);
        transposed.op_type = "ConvTranspose".to_owned();
        let graph = Graph { node: vec![transposed], ..Graph::default() };
        assert!(explicit(&graph, "image", (8, 8)).unwrap_err().contains("ConvTranspose"));
    }

    #[test]
    fn given_padding_stays() {
        let attributes = vec![ints("kernel_shape", &[3, 5]), ints("pads", &[1, 2, 0, 2]), ints("dilations", &[2, 1])];
        let graph = Graph { node: vec![convolution("image", "a", attributes)], ..Graph::default() };
        assert_eq!(pads(&explicit(&graph, "image", (9, 9)).unwrap()[0]), Some(&[1, 2, 0, 2][..]));
        assert_eq!(explicit(&graph, "image", (1, 1)).unwrap(), graph.node, "smaller than its window");
    }
}
