//! The messages of ONNX's published format (onnx.proto) that the networks of this library need, and the fields that no
//! network of this library has but others may, so that they can be embedded or refused.

use prost::Message;
use prost::bytes::Bytes;

/// ONNX's format and operators, which ONNX Runtime 1.12 and later read.
pub const IR_VERSION: i64 = 8;
pub const OPSET: i64 = 17;

/// The version of ONNX's format that came with an opset.
pub fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=18 => IR_VERSION,
        19..=20 => 9,
        _ => 10,
    }
}

/// A network and the operators that it is written in.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Property>,
    /// Never written.
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Anything>,
}

/// A note on a network for its users.
#[derive(Clone, PartialEq, Message)]
pub struct Property {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A message whose fields are passed over.
#[derive(Clone, PartialEq, Message)]
pub struct Anything {}

/// A version of a set of operators; the standard set has no domain.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// Nodes in an order in which each follows those that it depends on.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
    /// Never written.
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<Anything>,
}

/// An operator with the names of its inputs and outputs.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    /// Never written: the standard operators have none.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// A setting of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    /// Written if it is zero, too: readers of the format's first version take it for absent otherwise.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// A message [`Tensor`], passed on as it is.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub t: Option<Bytes>,
    /// Graphs, which no network of this library has.
    #[prost(message, optional, tag = "6")]
    pub g: Option<Anything>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "11")]
    pub graphs: Vec<Anything>,
    /// Values of kinds that no operator for images has.
    #[prost(message, repeated, tag = "10")]
    pub tensors: Vec<Anything>,
    #[prost(message, optional, tag = "22")]
    pub sparse_tensor: Option<Anything>,
    #[prost(message, repeated, tag = "23")]
    pub sparse_tensors: Vec<Anything>,
    #[prost(message, optional, tag = "14")]
    pub tp: Option<Anything>,
    #[prost(message, repeated, tag = "15")]
    pub type_protos: Vec<Anything>,
    #[prost(enumeration = "AttributeType", tag = "20")]
    pub r#type: i32,
}

/// The field of an [`Attribute`] that holds its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum AttributeType {
    Undefined = 0,
    Float = 1,
    Int = 2,
    String = 3,
    Ints = 7,
}

/// The value of an operator's setting.
#[derive(Debug, Clone, Copy)]
pub enum Setting<'a> {
    /// An integer.
    Int(i64),
    /// Integers.
    Ints(&'a [i64]),
    /// A word.
    Word(&'a str),
}

impl Setting<'_> {
    /// The type f32.
    pub const FLOAT: Self = Self::Int(ElementType::Float as i64);
}

impl Attribute {
    /// Whether it has a value of a kind that is not passed on.
    pub fn is_foreign(&self) -> bool {
        let Self { g, graphs, tensors, sparse_tensor, sparse_tensors, tp, type_protos, .. } = self;
        [g, sparse_tensor, tp].into_iter().any(Option::is_some)
            || [graphs, tensors, sparse_tensors, type_protos].into_iter().any(|values| !values.is_empty())
    }

    /// The setting of the message, if it is of a kind that this library writes.
    pub fn setting(&self) -> Option<Setting<'_>> {
        match AttributeType::try_from(self.r#type) {
            Ok(AttributeType::Int) => Some(Setting::Int(self.i.unwrap_or(0))),
            Ok(AttributeType::Ints) => Some(Setting::Ints(&self.ints)),
            Ok(AttributeType::String) => std::str::from_utf8(self.s.as_deref().unwrap_or(&[])).ok().map(Setting::Word),
            _ => None,
        }
    }
}

/// A constant.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(enumeration = "ElementType", tag = "2")]
    pub data_type: i32,
    /// Values that are not in `raw_data`, each in the field of its type: lists of numbers, in one piece or several, which are passed on
    /// as they are.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub float_data: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub int32_data: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub int64_data: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "10")]
    pub double_data: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "11")]
    pub uint64_data: Vec<Bytes>,
    #[prost(string, tag = "8")]
    pub name: String,
    /// Little-endian.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
    /// Never written: where it is stored otherwise than in the file.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Anything>,
    /// 0: in the file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ElementType {
    Undefined = 0,
    Float = 1,
    Int64 = 7,
    Float16 = 10,
}

/// An input or output of a graph.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

/// The type of a value: always a tensor here.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// Elements and shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(enumeration = "ElementType", tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// The shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// One extent of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(int64, tag = "1")]
    pub dim_value: i64,
    /// The name of an extent that inputs determine.
    #[prost(string, tag = "2")]
    pub dim_param: String,
}
