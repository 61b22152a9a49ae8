//! Writing networks as ONNX files.

use half::f16;
use prost::Message;
use prost::bytes::Bytes;

use super::messages::{
    Attribute, AttributeType, Dimension, ElementType, Graph, Model, Node, OPSET, OperatorSet, Property, Setting, Shape,
    Tensor, TensorType, Type, ValueInfo, ir_version,
};
use crate::error::{Error, Result};
use crate::exec::memory::try_reserve;

/// A value of a graph: an input, a constant or the output of a node. All belong to the graph that they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(pub(super) String);

/// The extent of an axis that the inputs of a run determine: their number of images.
pub const BATCH: usize = 0;

/// A network under construction. Nodes are added in the order of the computation. A constant for which there is no memory is left
/// empty, and [`Writer::finish`] fails.
pub struct Writer {
    pub(super) graph: Graph,
    opset: i64,
    notes: Vec<Property>,
    values: usize,
    /// How many are embedded.
    pub(super) networks: usize,
    pub(super) failure: Option<Error>,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new(OPSET)
    }
}

impl Writer {
    /// A network in the operators of this opset, 13 or later.
    pub fn new(opset: i64) -> Self {
        Self { graph: Graph::default(), opset, notes: Vec::new(), values: 0, networks: 0, failure: None }
    }

    /// The version of the operators.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// An input of the network, of f32.
    pub fn input(&mut self, shape: &[usize]) -> Value {
        let value = self.value();
        self.graph.input.push(info(&value, shape));
        value
    }

    /// An input of the network, of f32, with a name for users.
    pub fn named_input(&mut self, name: &str, shape: &[usize]) -> Value {
        let value = Value(name.to_owned());
        self.graph.input.push(info(&value, shape));
        value
    }

    /// Makes a value an output of the network, of f32, with a name for users.
    pub fn named_output(&mut self, value: &Value, name: &str, shape: &[usize]) {
        let output = Value(name.to_owned());
        self.push("Identity", &[value], &[], &[&output]);
        self.graph.output.push(info(&output, shape));
    }

    /// Adds a note for users.
    pub fn note(&mut self, key: &str, value: String) {
        self.notes.push(Property { key: key.to_owned(), value });
    }

    /// Makes a value an output of the network, of f32.
    pub fn output(&mut self, value: &Value, shape: &[usize]) {
        self.graph.output.push(info(value, shape));
    }

    /// A constant of f32.
    pub fn constant(&mut self, shape: &[usize], values: &[f32]) -> Value {
        self.constant_of(shape, values.iter().copied())
    }

    /// A constant of f32 from its values in order, as many as the shape has.
    pub fn constant_of(&mut self, shape: &[usize], values: impl Iterator<Item = f32>) -> Value {
        self.initializer(shape, ElementType::Float, values.map(f32::to_le_bytes))
    }

    /// A constant that is stored in f16 and converted to f32.
    pub fn half_constant(&mut self, shape: &[usize], values: &[f16]) -> Value {
        let stored = self.initializer(shape, ElementType::Float16, values.iter().map(|v| v.to_le_bytes()));
        self.node("Cast", &[&stored], &[("to", Setting::Int(ElementType::Float as i64))])
    }

    /// A constant list of integers.
    pub fn integers(&mut self, values: &[i64]) -> Value {
        self.integers_of(&[values.len()], values.iter().copied())
    }

    /// A constant of integers from its values in order, as many as the shape has.
    pub fn integers_of(&mut self, shape: &[usize], values: impl Iterator<Item = i64>) -> Value {
        self.initializer(shape, ElementType::Int64, values.map(i64::to_le_bytes))
    }

    /// Adds an operator with one output.
    pub fn node(&mut self, operator: &str, inputs: &[&Value], settings: &[(&str, Setting)]) -> Value {
        let [output] = self.nodes(operator, inputs, settings);
        output
    }

    /// Adds an operator with several outputs.
    pub fn nodes<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        settings: &[(&str, Setting)],
    ) -> [Value; N] {
        let outputs = std::array::from_fn(|_| self.value());
        self.push(operator, inputs, settings, &outputs.each_ref());
        outputs
    }

    fn push(&mut self, operator: &str, inputs: &[&Value], settings: &[(&str, Setting)], outputs: &[&Value]) {
        self.graph.node.push(Node {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: outputs.iter().map(|value| value.0.clone()).collect(),
            name: outputs[0].0.clone(),
            op_type: operator.to_owned(),
            attribute: settings.iter().map(|(name, setting)| attribute(name, *setting)).collect(),
            domain: String::new(),
        });
    }

    /// An input of an operator that is left out.
    pub fn absent() -> Value {
        Value(String::new())
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`OutOfMemory`](crate::error::Status::OutOfMemory) when there was no memory for a constant, or is none for the file;
    /// [`InvalidArgument`](crate::error::Status::InvalidArgument) when an embedded network cannot be written.
    pub fn finish(mut self, name: &str) -> Result<Bytes> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.graph.name = name.to_owned();
        let model = Model {
            ir_version: ir_version(self.opset),
            opset_import: vec![OperatorSet { domain: String::new(), version: self.opset }],
            producer_name: "npad".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            metadata_props: self.notes,
            functions: Vec::new(),
        };
        let mut bytes = Vec::new();
        try_reserve(&mut bytes, model.encoded_len())?;
        model.encode(&mut bytes).expect("room for the whole message");
        Ok(bytes.into())
    }

    fn initializer<const N: usize>(
        &mut self,
        shape: &[usize],
        element: ElementType,
        values: impl Iterator<Item = [u8; N]>,
    ) -> Value {
        let value = self.value();
        let mut raw_data = Vec::new();
        match try_reserve(&mut raw_data, shape.iter().product::<usize>() * N) {
            Ok(()) => raw_data.extend(values.flatten()),
            Err(error) => self.failure = Some(error),
        }
        self.graph.initializer.push(Tensor {
            dims: shape.iter().map(|side| *side as i64).collect(),
            data_type: element.into(),
            name: value.0.clone(),
            raw_data: raw_data.into(),
            ..Tensor::default()
        });
        value
    }

    fn value(&mut self) -> Value {
        self.values += 1;
        Value(format!("v{}", self.values))
    }
}

/// A setting as a message.
fn attribute(name: &str, setting: Setting<'_>) -> Attribute {
    let mut attribute = Attribute { name: name.to_owned(), ..Attribute::default() };
    attribute.r#type = match setting {
        Setting::Int(value) => {
            attribute.i = Some(value);
            AttributeType::Int
        }
        Setting::Ints(values) => {
            attribute.ints = values.to_vec();
            AttributeType::Ints
        }
        Setting::Word(word) => {
            attribute.s = Some(word.as_bytes().to_vec());
            AttributeType::String
        }
    }
    .into();
    attribute
}

fn info(value: &Value, shape: &[usize]) -> ValueInfo {
    let free = |side: usize| if side == BATCH { "batch".to_owned() } else { String::new() };
    let dimension = |side: &usize| Dimension { dim_value: *side as i64, dim_param: free(*side) };
    let dim = shape.iter().map(dimension).collect();
    let tensor = TensorType { elem_type: ElementType::Float.into(), shape: Some(Shape { dim }) };
    ValueInfo { name: value.0.clone(), r#type: Some(Type { tensor_type: Some(tensor) }) }
}
