//! Refuses networks that do what no network of this library does.
//!
//! ONNX Runtime runs whatever a file says: it reads other files for constants, loops without an end, and draws random
//! numbers.

use prost::Message;

/// The operators that networks of this library consist of.
const OPERATORS: &[&str] = &[
    "Add",
    "Cast",
    "Concat",
    "Conv",
    "Div",
    "Exp",
    "Gather",
    "MatMul",
    "Mul",
    "ReduceL2",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Slice",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
];

/// What is checked of a file. Everything else, above all the values of constants, is passed over.
#[derive(Clone, PartialEq, Message)]
struct Outline {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Anything>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Constant>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializer: Vec<Anything>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(string, tag = "7")]
    domain: String,
}

#[derive(Clone, PartialEq, Message)]
struct Constant {
    /// Where it is stored otherwise than in the file.
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<Anything>,
    /// 0: in the file.
    #[prost(int32, tag = "14")]
    data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Anything {}

/// Checks that a file has the operators of this library's networks alone, and all constants in it.
///
/// # Errors
/// A description of what it has else.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let outline = Outline::decode(bytes).map_err(|_| "is no ONNX file".to_owned())?;
    let Some(graph) = outline.graph else { return Err("has no graph".to_owned()) };
    if !outline.functions.is_empty() || !graph.sparse_initializer.is_empty() {
        return Err("has functions or sparse constants".to_owned());
    }
    if graph.initializer.iter().any(|constant| constant.data_location != 0 || !constant.external_data.is_empty()) {
        return Err("takes constants from another file".to_owned());
    }
    let known = |node: &&Node| node.domain.is_empty() && OPERATORS.contains(&&*node.op_type);
    match graph.node.iter().find(|node| !known(node)) {
        Some(node) => Err(format!("has the operator '{}{}'", node.domain, node.op_type)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(change: impl FnOnce(&mut Outline)) -> Vec<u8> {
        let node = Node { op_type: "Sqrt".to_owned(), domain: String::new() };
        let graph = Graph { node: vec![node], initializer: vec![Constant::default()], sparse_initializer: Vec::new() };
        let mut outline = Outline { graph: Some(graph), functions: Vec::new() };
        change(&mut outline);
        outline.encode_to_vec()
    }

    fn of_graph(change: impl FnOnce(&mut Graph)) -> Vec<u8> {
        outline(|outline| change(outline.graph.as_mut().unwrap()))
    }

    #[test]
    fn what_no_network_of_this_library_does_is_refused() {
        check(&outline(|_| ())).unwrap();
        for operator in ["Loop", "If", "Scan", "RandomUniform", "Constant", "sqrt", ""] {
            let error = check(&of_graph(|graph| graph.node[0].op_type = operator.to_owned())).unwrap_err();
            assert!(error.contains(&format!("'{operator}'")), "{error}");
        }
        assert!(check(&of_graph(|graph| graph.node[0].domain = "com.microsoft".to_owned())).is_err());
        assert!(check(&of_graph(|graph| graph.initializer[0].data_location = 1)).unwrap_err().contains("another file"));
        assert!(check(&of_graph(|graph| graph.initializer[0].external_data.push(Anything {}))).is_err());
        assert!(check(&of_graph(|graph| graph.sparse_initializer.push(Anything {}))).is_err());
        assert!(check(&outline(|outline| outline.functions.push(Anything {}))).is_err());
        assert!(check(&outline(|outline| outline.graph = None)).is_err());
        assert!(check(b"no protocol buffer").is_err());
    }
}
