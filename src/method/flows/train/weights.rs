//! The values that a network is computed with.

use crate::math::random::Random;

/// A named place in [`Weights`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight(usize);

/// One array of weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Extents; a convolution has outputs x inputs x rows x columns.
    pub shape: Vec<usize>,
    /// Its values, in standard order.
    pub values: Vec<f32>,
    /// Whether training changes it.
    pub trained: bool,
}

/// All arrays of a network, in the order of their creation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights {
    entries: Vec<Entry>,
}

impl Weights {
    /// Adds values that training changes.
    pub fn trained(&mut self, shape: &[usize], values: Vec<f32>) -> Weight {
        self.add(shape, values, true)
    }

    /// Adds values that training does not change.
    pub fn fixed(&mut self, shape: &[usize], values: Vec<f32>) -> Weight {
        self.add(shape, values, false)
    }

    fn add(&mut self, shape: &[usize], values: Vec<f32>, trained: bool) -> Weight {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "a value for each element");
        self.entries.push(Entry { shape: shape.to_vec(), values, trained });
        Weight(self.entries.len() - 1)
    }

    /// All arrays.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number of an array among [`Weights::entries`].
    pub fn index(weight: Weight) -> usize {
        weight.0
    }

    /// Replaces the values of an array.
    pub fn set(&mut self, weight: Weight, values: Vec<f32>) {
        let entry = &mut self.entries[weight.0];
        assert_eq!(entry.values.len(), values.len(), "a value for each element");
        entry.values = values;
    }

    /// The values that training changes, one array after the other.
    pub fn trained_values(&self) -> impl Iterator<Item = f32> {
        self.entries.iter().filter(|entry| entry.trained).flat_map(|entry| entry.values.iter().copied())
    }

    /// Sets the values that training changes.
    pub fn set_trained_values(&mut self, values: &[f32]) {
        let mut rest = values;
        for entry in self.entries.iter_mut().filter(|entry| entry.trained) {
            let own;
            (own, rest) = rest.split_at(entry.values.len());
            entry.values.copy_from_slice(own);
        }
        assert!(rest.is_empty(), "as many values as there are");
    }
}

/// A convolution with a bias.
#[derive(Debug, Clone, Copy)]
pub struct Convolution {
    pub weight: Weight,
    pub bias: Weight,
}

impl Convolution {
    /// A convolution of `side` x `side` positions whose weights are drawn between plus and minus sqrt(1 / fan-in), the
    /// usual start of such layers (He et al. 2015 with a gain of sqrt(1/3)); its bias is 0.
    pub fn random(weights: &mut Weights, inputs: usize, outputs: usize, side: usize, random: &mut Random) -> Self {
        let fan_in = inputs * side * side;
        let bound = (1.0 / fan_in as f64).sqrt();
        let uniform = |random: &mut Random| ((random.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0) * bound;
        let values = (0..outputs * fan_in).map(|_| uniform(random) as f32).collect();
        let weight = weights.trained(&[outputs, inputs, side, side], values);
        Self { weight, bias: weights.trained(&[outputs], vec![0.0; outputs]) }
    }

    /// A convolution that starts as zero.
    pub fn zero(weights: &mut Weights, inputs: usize, outputs: usize, side: usize) -> Self {
        let weight = weights.trained(&[outputs, inputs, side, side], vec![0.0; outputs * inputs * side * side]);
        Self { weight, bias: weights.trained(&[outputs], vec![0.0; outputs]) }
    }
}
