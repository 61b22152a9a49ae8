//! Refuses networks that this library would not write.
//!
//! ONNX Runtime runs whatever a file says: it reads other files for constants, loops without an end, divides integers,
//! fails assertions, and computes from a few constants more than fits into any memory. What is accepted here is float
//! arithmetic on one input, with the operators, settings and operands of [`super::Writer`]; each constant has a value for
//! each of its elements, and is used once where it is multiplied with many, so that neither memory nor time exceed what the
//! file's size and that of its input allow.

use std::collections::HashMap;

use prost::Message;
use prost::bytes::Bytes;

use super::messages::{ElementType, Graph, IR_VERSION, Model, OPSET, Setting, Tensor, ValueInfo};
use super::shapes::{Operand, infer};

/// The largest number of values of a result, and of all results together.
const MOST: usize = 1 << 28;
const MOST_IN_ALL: usize = 1 << 35;

/// Checks the bytes of a network.
///
/// # Errors
/// A description of what this library would not write.
pub fn check(bytes: Bytes) -> Result<(), String> {
    let model = Model::decode(bytes).map_err(|_| "is no ONNX file".to_owned())?;
    let Some(graph) = model.graph else { return Err("has no graph".to_owned()) };
    if !model.functions.is_empty() || !graph.sparse_initializer.is_empty() {
        return Err("has functions or sparse constants".to_owned());
    }
    let known = matches!(&model.opset_import[..], [set] if set.domain.is_empty() && set.version == OPSET);
    if !known || model.ir_version != IR_VERSION {
        return Err(format!("is not of ONNX's operators {OPSET} and format {IR_VERSION}"));
    }
    check_graph(&graph)
}

fn check_graph(graph: &Graph) -> Result<(), String> {
    let mut values: HashMap<&str, Operand> = HashMap::new();
    for tensor in &graph.initializer {
        add(&mut values, &tensor.name, constant(tensor)?)?;
    }
    let ([input], [output]) = (&graph.input[..], &graph.output[..]) else {
        return Err("has not one input and one output".to_owned());
    };
    let shape = shape_of(input).ok_or("has an input of unknown shape")?;
    add(&mut values, &input.name, Operand::Computed(shape))?;
    let mut total = 0usize;
    for node in &graph.node {
        let what = || format!("'{}{}'", node.domain, node.op_type);
        let mut operands = Vec::with_capacity(node.input.len());
        for name in &node.input {
            let operand = values.get(&**name).or_else(|| name.is_empty().then_some(&Operand::Absent));
            let absent = || format!("has the operator {} on '{name}', which is not there", what());
            operands.push(operand.cloned().ok_or_else(absent)?);
        }
        // What costs more than a value of the result each is paid for in the size of the file.
        if ["Cast", "Conv", "MatMul"].contains(&&*node.op_type) {
            let constants =
                node.input.iter().zip(&operands).filter(|(_, operand)| !matches!(operand, Operand::Computed(_)));
            constants.for_each(|(name, _)| drop(values.remove(&**name)));
        }
        let settings: Option<Vec<(&str, Setting<'_>)>> =
            node.attribute.iter().map(|attribute| Some((&*attribute.name, attribute.setting()?))).collect();
        let result = settings.filter(|_| node.domain.is_empty()).and_then(|s| infer(&node.op_type, &operands, &s));
        let ([name], Some(result)) = (&node.output[..], result) else {
            return Err(format!("has the operator {} with operands or settings that are not npad's", what()));
        };
        if let Operand::Computed(shape) = &result {
            let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
            let count = count.filter(|count| *count <= MOST);
            total = count.map_or(usize::MAX, |count| total.saturating_add(count));
            if total > MOST_IN_ALL {
                return Err(format!("computes more than {MOST} values in the operator {}, or too many in all", what()));
            }
        }
        add(&mut values, name, result)?;
    }
    // A result, not the input: ONNX Runtime would return the memory of the input for it.
    let computed = graph.node.iter().any(|node| node.output.contains(&output.name));
    match values.get(&*output.name) {
        Some(Operand::Computed(shape)) if computed && shape_of(output).as_ref() == Some(shape) => Ok(()),
        _ => Err("has an output that it does not compute".to_owned()),
    }
}

fn add<'a>(values: &mut HashMap<&'a str, Operand>, name: &'a str, value: Operand) -> Result<(), String> {
    match values.insert(name, value) {
        None if !name.is_empty() => Ok(()),
        _ => Err(format!("has more than one value with the name '{name}'")),
    }
}

/// A constant, which must be in the file whole.
fn constant(tensor: &Tensor) -> Result<Operand, String> {
    let foreign = tensor.data_location != 0 || !tensor.external_data.is_empty();
    let shape = sides(tensor.dims.iter().copied());
    let bytes = |size: usize| shape.iter().flatten().try_fold(size, |bytes, side| bytes.checked_mul(*side));
    let whole = |size| !foreign && shape.is_some() && bytes(size) == Some(tensor.raw_data.len());
    let shape = shape.clone().unwrap_or_default();
    match ElementType::try_from(tensor.data_type) {
        Ok(ElementType::Float) if whole(4) => Ok(Operand::Floats(shape, tensor.raw_data.clone())),
        Ok(ElementType::Float16) if whole(2) => Ok(Operand::Halves(shape)),
        Ok(ElementType::Int64) if whole(8) && shape.len() == 1 => {
            let values = tensor.raw_data.chunks_exact(8);
            Ok(Operand::Integers(values.map(|v| i64::from_le_bytes(v.try_into().expect("eight bytes"))).collect()))
        }
        _ => Err(format!("has the constant '{}', which is not whole in the file or of another type", tensor.name)),
    }
}

/// The shape of an input or output of f32.
fn shape_of(value: &ValueInfo) -> Option<Vec<usize>> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    let shape = tensor.shape.as_ref().filter(|_| tensor.elem_type == i32::from(ElementType::Float))?;
    sides(shape.dim.iter().map(|dimension| dimension.dim_value))
}

/// Extents of 1 or more.
fn sides(sides: impl Iterator<Item = i64>) -> Option<Vec<usize>> {
    sides.map(|side| usize::try_from(side).ok().filter(|side| *side > 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::messages::{Anything, Attribute, AttributeType, Node};
    use super::super::writer::{Value, Writer};
    use super::*;

    /// A network of one value of a result of each kind, from which its parts can be changed.
    fn network(change: impl FnOnce(&mut Model)) -> Bytes {
        let mut writer = Writer::default();
        let input = writer.input(&[1, 1, 1, 12]);
        let shape = writer.integers(&[1, 3, 2, 2]);
        let map = writer.node("Reshape", &[&input, &shape], &[]);
        let (weights, bias) = (writer.constant(&[2, 3, 1, 1], &[0.5; 6]), writer.constant(&[2], &[0.1; 2]));
        let map = writer.node("Conv", &[&map, &weights, &bias], &[("kernel_shape", Setting::Ints(&[1, 1]))]);
        let order = writer.integers(&[1, 0]);
        let map = writer.node("Gather", &[&map, &order], &[("axis", Setting::Int(1))]);
        let last = writer.node("Transpose", &[&map], &[("perm", Setting::Ints(&[0, 2, 3, 1]))]);
        let shape = writer.integers(&[4, 2, 1]);
        let vectors = writer.node("Reshape", &[&last, &shape], &[]);
        let matrices = writer.half_constant(&[4, 2, 2], &[half::f16::ONE; 16]);
        let white = writer.node("MatMul", &[&matrices, &vectors], &[]);
        let length = writer.node("ReduceL2", &[&white], &[("axes", Setting::Ints(&[1]))]);
        let shape = writer.integers(&[1, 1, 2, 2]);
        let map = writer.node("Reshape", &[&length, &shape], &[]);
        let factors = writer.constant(&[4], &[1.0, 1.0, 2.0, 2.0]);
        let settings =
            [("mode", Setting::Word("linear")), ("coordinate_transformation_mode", Setting::Word("half_pixel"))];
        let map = writer.node("Resize", &[&map, &Writer::absent(), &factors], &settings);
        let [from, to, axes] = [[0, 0], [3, 4], [2, 3]].map(|values| writer.integers(&values));
        let map = writer.node("Slice", &[&map, &from, &to, &axes], &[]);
        let share = writer.constant(&[1], &[0.5]);
        let output: Value = writer.node("Mul", &[&map, &share], &[]);
        writer.output(&output, &[1, 1, 3, 4]);
        let mut model = Model::decode(writer.finish("test").unwrap()).unwrap();
        change(&mut model);
        model.encode_to_vec().into()
    }

    fn of_graph(change: impl FnOnce(&mut Graph)) -> Bytes {
        network(|model| change(model.graph.as_mut().unwrap()))
    }

    /// Changes the first operator of a kind.
    fn of_node(operator: &str, change: impl FnOnce(&mut Node)) -> Bytes {
        of_graph(|graph| change(graph.node.iter_mut().find(|node| node.op_type == operator).unwrap()))
    }

    /// Changes the constant that the first operator of a kind has as its operand `number`.
    fn of_constant(operator: &str, number: usize, change: impl FnOnce(&mut Tensor)) -> Bytes {
        of_graph(|graph| {
            let name = graph.node.iter().find(|node| node.op_type == operator).unwrap().input[number].clone();
            change(graph.initializer.iter_mut().find(|tensor| tensor.name == name).unwrap());
        })
    }

    #[test]
    fn what_no_network_of_this_library_does_is_refused() {
        check(network(|_| ())).unwrap();
        for operator in ["Loop", "If", "Scan", "RandomUniform", "Constant", "mul", ""] {
            let error = check(of_node("Mul", |node| node.op_type = operator.to_owned())).unwrap_err();
            assert!(error.contains(&format!("'{operator}'")), "{error}");
        }
        assert!(check(of_node("Mul", |node| node.domain = "com.microsoft".to_owned())).is_err());
        assert!(check(of_constant("Mul", 1, |tensor| tensor.data_location = 1)).unwrap_err().contains("in the file"));
        assert!(check(of_constant("Mul", 1, |tensor| tensor.external_data.push(Anything {}))).is_err());
        assert!(check(of_graph(|graph| graph.sparse_initializer.push(Anything {}))).is_err());
        assert!(check(network(|model| model.functions.push(Anything {}))).is_err());
        assert!(check(network(|model| model.opset_import[0].version = 18)).is_err());
        assert!(check(network(|model| model.opset_import.push(Default::default()))).is_err());
        assert!(check(network(|model| model.ir_version = 9)).is_err());
        assert!(check(network(|model| model.graph = None)).is_err());
        assert!(check(Bytes::from_static(b"no protocol buffer")).is_err());
    }

    #[test]
    fn operands_and_settings_are_those_that_are_written() {
        for (operator, settings) in [("Conv", "strides"), ("Conv", "group"), ("Gather", "axes"), ("Mul", "axis")] {
            let extra = Attribute {
                name: settings.to_owned(),
                i: Some(0),
                r#type: AttributeType::Int.into(),
                ..Attribute::default()
            };
            assert!(check(of_node(operator, |node| node.attribute.push(extra))).is_err(), "{operator} {settings}");
        }
        for (operator, values) in [("Gather", [2i64, 0]), ("Gather", [-1, 0]), ("Slice", [0, -1]), ("Slice", [3, 0])] {
            let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert!(
                check(of_constant(operator, 1, |tensor| tensor.raw_data = raw.into())).is_err(),
                "{operator} {values:?}"
            );
        }
        for factor in [f32::NAN, f32::INFINITY, -1.0, 0.0, 1.5, 4096.0] {
            let raw: Vec<u8> = [1.0, 1.0, factor, factor].iter().flat_map(|value: &f32| value.to_le_bytes()).collect();
            assert!(check(of_constant("Resize", 2, |tensor| tensor.raw_data = raw.into())).is_err(), "{factor}");
        }
        for side in [i64::MIN, -1, 0, 1 << 62] {
            let raw: Vec<u8> = [1, 3, 2, side].iter().flat_map(|value: &i64| value.to_le_bytes()).collect();
            assert!(check(of_constant("Reshape", 1, |tensor| tensor.raw_data = raw.into())).is_err(), "{side}");
            assert!(check(of_constant("Conv", 1, |tensor| tensor.dims[0] = side)).is_err(), "{side}");
        }
        assert!(check(of_constant("Mul", 1, |tensor| tensor.data_type = ElementType::Int64.into())).is_err());
        assert!(check(of_constant("Mul", 1, |tensor| tensor.raw_data.truncate(3))).is_err());
        assert!(check(of_node("Mul", |node| node.input[0] = "absent".to_owned())).is_err());
        assert!(check(of_node("Mul", |node| node.input.truncate(1))).is_err());
        assert!(check(of_node("Mul", |node| node.output.push("more".to_owned()))).is_err());
        assert!(check(of_graph(|graph| graph.node.reverse())).is_err(), "an operator before what it needs");
        assert!(check(of_graph(|graph| graph.initializer[1].name = graph.initializer[0].name.clone())).is_err());
        assert!(check(of_graph(|graph| graph.output[0].name = graph.input[0].name.clone())).is_err());
    }

    /// Constants are not computed with before the input is there, and are used once.
    #[test]
    fn small_files_do_not_become_large_computations() {
        let with = |operator: &str, shapes: [&[usize]; 2]| {
            let mut writer = Writer::default();
            let input = writer.input(&[1, 1, 1, 2]);
            let [a, b] = shapes.map(|shape| writer.constant(shape, &vec![1.0; shape.iter().product()]));
            let wide = writer.node(operator, &[&a, &b], &[]);
            let output = writer.node("Add", &[&input, &wide], &[]);
            writer.output(&output, &[1, 1, 1, 2]);
            check(writer.finish("large").unwrap())
        };
        assert!(with("Add", [&[1, 2], &[2, 1]]).unwrap_err().contains("'Add'"));
        assert!(with("MatMul", [&[1, 2, 2], &[1, 2, 2]]).unwrap_err().contains("'MatMul'"));

        let mut writer = Writer::default();
        let input = writer.input(&[1, 1, 1, 2]);
        let mut wide = input.clone();
        for _ in 0..3 {
            let factors = writer.constant(&[4], &[1.0, 1.0, 1024.0, 1024.0]);
            let settings =
                [("mode", Setting::Word("linear")), ("coordinate_transformation_mode", Setting::Word("half_pixel"))];
            wide = writer.node("Resize", &[&wide, &Writer::absent(), &factors], &settings);
        }
        writer.output(&wide, &[1, 1, 1 << 30, 1 << 31]);
        assert!(check(writer.finish("large").unwrap()).unwrap_err().contains("'Resize'"));

        let mut writer = Writer::default();
        let input = writer.input(&[1, 1, 1, 2]);
        let (weights, bias) = (writer.constant(&[1, 1, 1, 1], &[1.0]), writer.constant(&[1], &[1.0]));
        let once = writer.node("Conv", &[&input, &weights, &bias], &[("kernel_shape", Setting::Ints(&[1, 1]))]);
        let twice = writer.node("Conv", &[&once, &weights, &bias], &[("kernel_shape", Setting::Ints(&[1, 1]))]);
        writer.output(&twice, &[1, 1, 1, 2]);
        assert!(check(writer.finish("twice").unwrap()).unwrap_err().contains("not there"));
    }
}
