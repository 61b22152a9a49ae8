//! Embedding a network, such as a backbone, in one that is written.

use prost::Message;
use prost::bytes::Bytes;

use super::messages::{Attribute, Graph, Model, Node, Tensor, ValueInfo};
use super::padding::explicit;
use super::writer::{Value, Writer};
use crate::error::{Error, Status};

/// Operators of networks for inference that have the same operands, settings and results in opsets 11 to 22.
const LASTING: &[&str] = &[
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "Identity",
    "InstanceNormalization",
    "LeakyRelu",
    "Log",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softplus",
    "Sqrt",
    "Sub",
    "Tanh",
    "Transpose",
    "Where",
];
/// Those of which this is true from opset 13 on.
const LASTING_SINCE_13: &[&str] = &["ReduceSum", "Softmax", "Squeeze", "Unsqueeze"];

/// Settings that these operators have only in later opsets, or that mean something else since.
const NEWER: &[(&str, &str)] = &[
    ("AveragePool", "ceil_mode"),
    ("AveragePool", "dilations"),
    ("BatchNormalization", "training_mode"),
    ("Reshape", "allowzero"),
    ("Shape", "end"),
    ("Shape", "start"),
];

/// A network that others can embed.
pub struct Embeddable {
    graph: Graph,
    /// The version of the standard operators.
    opset: i64,
    input: String,
}

impl Embeddable {
    /// Reads the bytes of an ONNX file with one input.
    ///
    /// # Errors
    /// What the network has that cannot be embedded.
    pub fn read(bytes: Bytes) -> Result<Self, String> {
        let model = Model::decode(bytes).map_err(|what| {
            format!(
                "cannot be read ({what}): it is no ONNX file, or has numbers that are not packed; write it again with Python's onnx"
            )
        })?;
        let Some(graph) = model.graph else { return Err("has no graph".to_owned()) };
        if !model.functions.is_empty() || !graph.sparse_initializer.is_empty() {
            return Err("has functions or sparse constants".to_owned());
        }
        let is_standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let opset = model.opset_import.iter().find(|set| is_standard(&set.domain)).map_or(1, |set| set.version);
        for node in &graph.node {
            if !is_standard(&node.domain) {
                return Err(format!(
                    "has the operator '{}' of '{}', which is not a standard one",
                    node.op_type, node.domain
                ));
            }
            if node.attribute.iter().any(Attribute::is_foreign) {
                return Err(format!(
                    "has the operator '{}', which contains networks, types or sparse values",
                    node.op_type
                ));
            }
        }
        if graph.initializer.iter().any(|tensor| tensor.data_location != 0 || !tensor.external_data.is_empty()) {
            return Err("has weights in other files".to_owned());
        }
        // Early files list constants among the inputs.
        let is_constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
        let mut inputs = graph.input.iter().filter(|input| !is_constant(&input.name));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err("has not one input".to_owned());
        };
        Ok(Self { input: input.name.clone(), opset, graph })
    }

    /// The version of the standard operators that it is written in.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Whether a run takes several images: where the first extents of the input and of all outputs are free.
    pub fn takes_several(&self) -> bool {
        let is_free = |value: &ValueInfo| {
            let shape = value.r#type.as_ref().and_then(|of| of.tensor_type.as_ref()?.shape.as_ref());
            shape.and_then(|shape| shape.dim.first()).is_some_and(|first| first.dim_value == 0)
        };
        let input = self.graph.input.iter().filter(|input| input.name == self.input);
        input.chain(&self.graph.output).all(is_free)
    }

    /// Whether it means the same in another version of the standard operators.
    ///
    /// # Errors
    /// Which operators do not.
    pub fn check_opset(&self, opset: i64) -> Result<(), String> {
        if opset == self.opset {
            return Ok(());
        }
        let lasting = |node: &&Node| {
            let operator = &*node.op_type;
            // 0 is what is meant without them, but for an end.
            let set = |attribute: &Attribute| {
                (attribute.i != Some(0) || attribute.name == "end") && NEWER.contains(&(operator, &attribute.name))
            };
            let known = self.opset >= 11 && LASTING.contains(&operator)
                || self.opset >= 13 && LASTING_SINCE_13.contains(&operator);
            known && !node.attribute.iter().any(set)
        };
        let mut others: Vec<&str> =
            self.graph.node.iter().filter(|node| !lasting(node)).map(|node| &*node.op_type).collect();
        others.sort_unstable();
        others.dedup();
        if others.is_empty() {
            return Ok(());
        }
        let (own, others) = (self.opset, others.join(", "));
        Err(format!("is written in opset {own}, and opset {opset} may have other forms of its operators {others}"))
    }
}

/// A network whose constants are in the file.
pub struct Embedded {
    network: Embeddable,
    prefix: String,
    calls: usize,
}

impl Writer {
    /// Adds a network's constants, once, with names of its own.
    pub fn embed(&mut self, mut network: Embeddable) -> Embedded {
        self.networks += 1;
        let prefix = format!("network{}", self.networks);
        let constants = std::mem::take(&mut network.graph.initializer);
        let named = |tensor: Tensor| Tensor { name: format!("{prefix}.{}", tensor.name), ..tensor };
        // Names and shapes remain, to tell constants from results.
        let blank =
            |tensor: &Tensor| Tensor { name: tensor.name.clone(), dims: tensor.dims.clone(), ..Tensor::default() };
        network.graph.initializer = constants.iter().map(blank).collect();
        self.graph.initializer.extend(constants.into_iter().map(named));
        Embedded { network, prefix, calls: 0 }
    }

    /// Computes an embedded network for an input and returns its outputs. `size` is the input's rows and columns, if it is an image.
    pub fn call(&mut self, embedded: &mut Embedded, input: &Value, size: Option<(usize, usize)>) -> Vec<Value> {
        let Embedded { network: Embeddable { graph, input: own, .. }, prefix, calls } = embedded;
        let constants: std::collections::HashSet<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
        let number = *calls;
        *calls += 1;
        let renamed = |name: &String| match &**name {
            "" => String::new(),
            name if name == own => input.0.clone(),
            name if constants.contains(name) => format!("{prefix}.{name}"),
            name => format!("{prefix}{number}.{name}"),
        };
        let nodes = match size {
            Some(size) => explicit(graph, own, size).unwrap_or_else(|what| {
                self.failure = Some(Error::new(Status::InvalidArgument, format!("the model's backbone {what}")));
                Vec::new()
            }),
            None => graph.node.clone(),
        };
        for (at, node) in nodes.into_iter().enumerate() {
            self.graph.node.push(Node {
                input: node.input.iter().map(renamed).collect(),
                output: node.output.iter().map(renamed).collect(),
                name: format!("{prefix}{number}.{at}.{}", node.op_type),
                domain: String::new(),
                ..node
            });
        }
        graph.output.iter().map(|output| Value(renamed(&output.name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::Setting;
    use super::*;
    use crate::backbone::run_network;

    /// A network of an operator, with constants for its further inputs, whose output is a list of numbers.
    fn network(operator: &str, opset: i64) -> Bytes {
        let mut writer = Writer::new(opset);
        let image = writer.input(&[1, 2, 4, 4]);
        let one = |writer: &mut Writer| writer.constant(&[1], &[0.75]);
        let two = |writer: &mut Writer, at: f32| writer.constant(&[2], &[0.5 + at, 1.5]);
        let result = match operator {
            "Add" | "Div" | "Max" | "Min" | "Mul" | "PRelu" | "Pow" | "Sub" => {
                let other = one(&mut writer);
                let positive = writer.apply("Abs", &[&image]);
                writer.apply(operator, &[if operator == "Pow" { &positive } else { &image }, &other])
            }
            "Log" | "Sqrt" => {
                let positive = writer.apply("Abs", &[&image]);
                writer.apply(operator, &[&positive])
            }
            "AveragePool" | "MaxPool" => {
                let settings = [
                    ("kernel_shape", Setting::Ints(&[3, 3])),
                    ("pads", Setting::Ints(&[1; 4])),
                    ("strides", Setting::Ints(&[2, 2])),
                ];
                writer.node(operator, &[&image], &settings)
            }
            "BatchNormalization" => {
                let [a, b, c, d] = [0.0, 0.25, 0.5, 0.75].map(|at| two(&mut writer, at));
                writer.apply(operator, &[&image, &a, &b, &c, &d])
            }
            "InstanceNormalization" => {
                let [a, b] = [0.0, 0.25].map(|at| two(&mut writer, at));
                writer.apply(operator, &[&image, &a, &b])
            }
            "Clip" => {
                let [least, most] = [-0.25, 0.5].map(|value| writer.constant(&[], &[value]));
                writer.apply(operator, &[&image, &least, &most])
            }
            "Concat" => writer.joined(&[&image, &image], 1),
            "Constant" => {
                let number = writer.node(operator, &[], &[("value_ints", Setting::Ints(&[2, 3]))]);
                writer.node("Cast", &[&number], &[("to", Setting::FLOAT)])
            }
            "Conv" | "ConvTranspose" => {
                let kernel = writer.constant(&[2, 2, 2, 2], &std::array::from_fn::<f32, 16, _>(|at| at as f32 - 7.0));
                let bias = two(&mut writer, 0.0);
                writer.node(operator, &[&image, &kernel, &bias], &[("strides", Setting::Ints(&[2, 2]))])
            }
            "Expand" => {
                let shape = writer.integers(&[3, 2, 4, 4]);
                writer.apply(operator, &[&image, &shape])
            }
            "Gather" => writer.chosen(&image, 2, &[3, 1]),
            "Gemm" => {
                let rows = writer.reshaped(&image, &[16, 2]);
                let (matrix, bias) = (writer.constant(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), two(&mut writer, 0.0));
                writer.node(operator, &[&rows, &matrix, &bias], &[("transB", Setting::Int(1))])
            }
            "MatMul" => {
                let matrix = writer.constant(&[4, 2], &std::array::from_fn::<f32, 8, _>(|at| at as f32));
                writer.apply(operator, &[&image, &matrix])
            }
            "ReduceSum" => writer.sums(&image, 1),
            "Reshape" => writer.reshaped(&image, &[0, -1]),
            "Shape" => {
                let shape = writer.apply(operator, &[&image]);
                writer.node("Cast", &[&shape], &[("to", Setting::FLOAT)])
            }
            "Slice" => writer.part(&image, 3, 1, 3),
            "Squeeze" | "Unsqueeze" => {
                let axis = writer.integers(&[0]);
                writer.apply(operator, &[&image, &axis])
            }
            "Transpose" => writer.transposed(&image, &[0, 2, 3, 1]),
            "Where" => {
                let limit = one(&mut writer);
                let above = writer.apply("Less", &[&image, &limit]);
                writer.apply(operator, &[&above, &image, &limit])
            }
            _ => writer.apply(operator, &[&image]),
        };
        let list = writer.reshaped(&result, &[-1]);
        writer.output(&list, &[super::super::BATCH]);
        writer.finish("one").unwrap()
    }

    #[test]
    fn lasting_operators_mean_the_same_in_all_opsets() {
        let image: Vec<f32> = (0..32).map(|at| (at as f32 * 0.7 + 0.3).sin() * 2.0).collect();
        for operator in LASTING.iter().chain(LASTING_SINCE_13) {
            let of = |opset| {
                run_network(&network(operator, opset), 1, [1, 2, 4, 4], &image)
                    .unwrap_or_else(|error| panic!("{operator}: {error}"))
            };
            let expected = of(13);
            assert!(!expected[0].is_empty() && expected[0].iter().all(|value| value.is_finite()), "{operator}");
            for opset in 14..=22 {
                let found = of(opset);
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
                let same = found[0].len() == expected[0].len() && found[0].iter().zip(&expected[0]).all(close);
                assert!(same, "{operator} of opset {opset}: {found:?} instead of {expected:?}");
            }
        }
    }

    /// Values in fields of their type, of any size, are passed on as they are.
    #[test]
    fn constants_of_all_forms_are_embedded() {
        let mut writer = Writer::new(17);
        let image = writer.input(&[1, 1, 1, 2]);
        let factors = writer.constant(&[2], &[3.0, 0.5]);
        let product = writer.apply("Mul", &[&image, &factors]);
        writer.output(&product, &[1, 1, 1, 2]);
        let tensor = &mut writer.graph.initializer[0];
        let mut values = std::mem::take(&mut tensor.raw_data);
        tensor.float_data = vec![values.split_to(4), values];
        let network = Embeddable::read(writer.finish("typed").unwrap()).unwrap();
        let mut writer = Writer::new(17);
        let image = writer.input(&[1, 1, 1, 2]);
        let mut embedded = writer.embed(network);
        let once = writer.call(&mut embedded, &image, None);
        let twice = writer.call(&mut embedded, &once[0], None);
        writer.output(&twice[0], &[1, 1, 1, 2]);
        assert_eq!(run_network(&writer.finish("whole").unwrap(), 1, [1, 1, 1, 2], &[1.0, 4.0]).unwrap(), [[9.0, 1.0]]);
    }

    #[test]
    fn newer_settings_and_other_operators_stay_in_their_opset() {
        let of = |operator: &str, settings: &[(&str, Setting)]| {
            let mut writer = Writer::new(17);
            let image = writer.input(&[1, 1, 2, 2]);
            let output = writer.node(operator, &[&image], settings);
            writer.output(&output, &[1, 1, 2, 2]);
            Embeddable::read(writer.finish("one").unwrap()).unwrap()
        };
        let zeros = |value| of("Reshape", &[("allowzero", Setting::Int(value))]);
        assert!(zeros(0).check_opset(13).is_ok() && zeros(1).check_opset(17).is_ok());
        for network in [zeros(1), of("Resize", &[]), of("Shape", &[("start", Setting::Int(1))])] {
            assert!(network.check_opset(13).unwrap_err().contains("other forms of its operators"));
        }
    }
}
