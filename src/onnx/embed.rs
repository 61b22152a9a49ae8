//! Embedding a network, such as a backbone, in one that is written.

use prost::Message;
use prost::bytes::Bytes;

use super::messages::{Graph, Model, Node, Tensor, ValueInfo};
use super::padding::explicit;
use super::writer::{Value, Writer};

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
        let model = Model::decode(bytes).map_err(|_| "is no ONNX file".to_owned())?;
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
            if node.attribute.iter().any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty()) {
                return Err(format!("has the operator '{}', which contains networks", node.op_type));
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
            self.opset >= 11 && LASTING.contains(&operator) || self.opset >= 13 && LASTING_SINCE_13.contains(&operator)
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
    /// Adds a network's constants, once, with names that start with `prefix`.
    pub fn embed(&mut self, mut network: Embeddable, prefix: &str) -> Embedded {
        let constants = std::mem::take(&mut network.graph.initializer);
        let named = |tensor: Tensor| Tensor { name: format!("{prefix}.{}", tensor.name), ..tensor };
        // Names and shapes remain, to tell constants from results.
        let blank =
            |tensor: &Tensor| Tensor { name: tensor.name.clone(), dims: tensor.dims.clone(), ..Tensor::default() };
        network.graph.initializer = constants.iter().map(blank).collect();
        self.graph.initializer.extend(constants.into_iter().map(named));
        Embedded { network, prefix: prefix.to_owned(), calls: 0 }
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
            Some(size) => explicit(graph, own, size),
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
