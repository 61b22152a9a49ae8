//! Writing networks as ONNX files, with the operators of opset 17.

use half::f16;
use prost::Message;

use super::messages::{
    Attribute, AttributeType, Dimension, ElementType, Graph, IR_VERSION, Model, Node, OPSET, OperatorSet, Setting,
    Shape, Tensor, TensorType, Type, ValueInfo,
};

/// A value of a graph: an input, a constant or the output of a node. All belong to the graph that they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

/// A network under construction. Nodes are added in the order of the computation.
#[derive(Default)]
pub struct Writer {
    graph: Graph,
    values: usize,
}

impl Writer {
    /// An input of the network, of f32.
    pub fn input(&mut self, shape: &[usize]) -> Value {
        let value = self.value();
        self.graph.input.push(info(&value, shape));
        value
    }

    /// Makes a value an output of the network, of f32.
    pub fn output(&mut self, value: &Value, shape: &[usize]) {
        self.graph.output.push(info(value, shape));
    }

    /// A constant of f32.
    pub fn constant(&mut self, shape: &[usize], values: &[f32]) -> Value {
        self.initializer(shape, ElementType::Float, bytes(values, |v| v.to_le_bytes()))
    }

    /// A constant that is stored in f16 and converted to f32.
    pub fn half_constant(&mut self, shape: &[usize], values: &[f16]) -> Value {
        let stored = self.initializer(shape, ElementType::Float16, bytes(values, |v| v.to_le_bytes()));
        self.node("Cast", &[&stored], &[("to", Setting::Int(ElementType::Float as i64))])
    }

    /// A constant list of integers.
    pub fn integers(&mut self, values: &[i64]) -> Value {
        self.initializer(&[values.len()], ElementType::Int64, bytes(values, |v| v.to_le_bytes()))
    }

    /// Adds an operator with one output.
    pub fn node(&mut self, operator: &str, inputs: &[&Value], settings: &[(&str, Setting)]) -> Value {
        let output = self.value();
        self.graph.node.push(Node {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: vec![output.0.clone()],
            name: output.0.clone(),
            op_type: operator.to_owned(),
            attribute: settings.iter().map(|(name, setting)| attribute(name, *setting)).collect(),
            domain: String::new(),
        });
        output
    }

    /// An input of an operator that is left out.
    pub fn absent() -> Value {
        Value(String::new())
    }

    /// The bytes of the file.
    pub fn finish(mut self, name: &str) -> Vec<u8> {
        self.graph.name = name.to_owned();
        Model {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
            producer_name: "npad".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            functions: Vec::new(),
        }
        .encode_to_vec()
    }

    fn initializer(&mut self, shape: &[usize], element: ElementType, raw_data: Vec<u8>) -> Value {
        let value = self.value();
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
            attribute.i = value;
            AttributeType::Int
        }
        Setting::Ints(values) => {
            attribute.ints = values.to_vec();
            AttributeType::Ints
        }
        Setting::Word(word) => {
            attribute.s = word.as_bytes().to_vec();
            AttributeType::String
        }
    }
    .into();
    attribute
}

/// The values one after the other, in memory of just their size.
fn bytes<T: Copy, const N: usize>(values: &[T], of: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * N);
    values.iter().for_each(|value| bytes.extend(of(*value)));
    bytes
}

fn info(value: &Value, shape: &[usize]) -> ValueInfo {
    let dim = shape.iter().map(|side| Dimension { dim_value: *side as i64 }).collect();
    let tensor = TensorType { elem_type: ElementType::Float.into(), shape: Some(Shape { dim }) };
    ValueInfo { name: value.0.clone(), r#type: Some(Type { tensor_type: Some(tensor) }) }
}
