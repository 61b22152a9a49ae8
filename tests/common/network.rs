//! Tiny ONNX files, written by hand: the protobuf encoding of a graph of poolings.

fn field(number: u64, wire: u64, content: &[u8]) -> Vec<u8> {
    let mut out = varint(number << 3 | wire);
    if wire == 2 {
        out.extend(varint(content.len() as u64));
    }
    out.extend_from_slice(content);
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

fn text(number: u64, value: &str) -> Vec<u8> {
    field(number, 2, value.as_bytes())
}

fn number(of: u64, value: u64) -> Vec<u8> {
    field(of, 0, &varint(value))
}

/// A value's name, element type (1 float, 6 int32) and dimensions (0 unknown).
pub fn value(name: &str, element: u64, dimensions: &[u64]) -> Vec<u8> {
    let shape: Vec<u8> =
        dimensions.iter().flat_map(|&d| field(1, 2, &if d == 0 { text(2, "any") } else { number(1, d) })).collect();
    let tensor = [number(1, element), field(2, 2, &shape)].concat();
    [text(1, name), field(2, 2, &field(1, 2, &tensor))].concat()
}

fn integers(name: &str, values: &[u64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&v| number(8, v)).collect();
    field(5, 2, &[text(1, name), values, number(20, 7)].concat())
}

/// Average pooling of square windows of `size`.
pub fn pooling(input: &str, output: &str, size: u64) -> Vec<u8> {
    let window = [integers("kernel_shape", &[size, size]), integers("strides", &[size, size])].concat();
    [text(1, input), text(2, output), text(4, "AveragePool"), window].concat()
}

/// A node without attributes.
pub fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
    [inputs, text(2, output), text(4, operator)].concat()
}

pub fn model(nodes: &[Vec<u8>], inputs: &[Vec<u8>], outputs: &[Vec<u8>]) -> Vec<u8> {
    let all =
        |number: u64, parts: &[Vec<u8>]| parts.iter().flat_map(|part| field(number, 2, part)).collect::<Vec<u8>>();
    let graph = [all(1, nodes), text(2, "test"), all(11, inputs), all(12, outputs)].concat();
    let opset = [text(1, ""), number(2, 15)].concat();
    [number(1, 8), field(7, 2, &graph), field(8, 2, &opset)].concat()
}

/// A network with taps at the given strides, three channels each.
pub fn pyramid(strides: &[u64]) -> Vec<u8> {
    let name = |stride: &u64| format!("stride{stride}");
    let nodes: Vec<_> = strides.iter().map(|s| pooling("image", &name(s), *s)).collect();
    let outputs: Vec<_> = strides.iter().map(|s| value(&name(s), 1, &[1, 3, 0, 0])).collect();
    model(&nodes, &[value("image", 1, &[1, 3, 0, 0])], &outputs)
}
