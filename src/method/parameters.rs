//! Parameters of methods: declared in a table, set by name, checked when set.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result, Status};

/// Type and range of a parameter.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A whole number within bounds, both included.
    Count(usize, usize),
    /// A whole number within bounds, or one of these words.
    CountOr(usize, usize, &'static [&'static str]),
    /// An odd number within bounds.
    Odd(usize, usize),
    /// A real number within bounds.
    Number(f64, f64),
    /// A real number within bounds, or one of these words.
    NumberOr(f64, f64, &'static [&'static str]),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words, joined by `+`.
    Set(&'static [&'static str]),
    /// One of these, each of which sets other parameters too.
    Preset(&'static [Preset]),
    /// Any text; the plug-in checks it.
    Text,
    /// The path of a file, or empty.
    Path,
    /// Text of the described form.
    Form(&'static str),
}

/// A name for values of several parameters. All others get their defaults.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Names and values of parameters.
    pub values: &'static [(&'static str, &'static str)],
}

impl Kind {
    /// Whether the kind accepts a value.
    fn accepts(self, value: &str) -> bool {
        let within = |low, high| value.parse::<f64>().is_ok_and(|n: f64| n >= low && n <= high);
        let count = |low, high| value.parse::<usize>().is_ok_and(|n| (low..=high).contains(&n));
        match self {
            Self::Count(low, high) => count(low, high),
            Self::CountOr(low, high, words) => words.contains(&value) || count(low, high),
            Self::Odd(low, high) => count(low, high) && value.ends_with(['1', '3', '5', '7', '9']),
            Self::Number(low, high) => within(low, high),
            Self::NumberOr(low, high, words) => words.contains(&value) || within(low, high),
            Self::Text | Self::Path | Self::Form(_) => true,
            Self::Choice(words) => words.contains(&value),
            Self::Preset(presets) => presets.iter().any(|preset| preset.name == value),
            Self::Set(words) => {
                let parts: Vec<_> = value.split('+').collect();
                parts.iter().enumerate().all(|(i, part)| words.contains(part) && !parts[..i].contains(part))
            }
        }
    }
}

impl Kind {
    /// One text for all texts of a number.
    pub fn plain(self, value: &str) -> String {
        let number = match self {
            Self::Number(..) | Self::NumberOr(..) => value.parse::<f64>().ok(),
            _ => None,
        };
        number.map_or(value.to_owned(), |number| number.to_string())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(low, usize::MAX) => write!(f, "a whole number of at least {low}"),
            Self::Count(low, high) => write!(f, "a whole number from {low} to {high}"),
            Self::CountOr(low, high, words) => {
                write!(f, "{} or a whole number from {low} to {high}", words.join(", "))
            }
            Self::Odd(low, high) => write!(f, "an odd number from {low} to {high}"),
            Self::Number(low, high) => write!(f, "a number from {low} to {high}"),
            Self::NumberOr(low, high, words) => write!(f, "{} or a number from {low} to {high}", words.join(", ")),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Preset(presets) => {
                let names: Vec<_> = presets.iter().map(|preset| preset.name).collect();
                write!(f, "one of {}", names.join(", "))
            }
            Self::Text => f.write_str("text"),
            Self::Path => f.write_str("a path, or empty"),
            Self::Form(form) => f.write_str(form),
            Self::Set(words) => write!(f, "any of {} joined by '+'", words.join(", ")),
        }
    }
}

/// One parameter of a method.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// `METHOD.something`.
    pub name: &'static str,
    /// Default value.
    pub default: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// What the parameter does, in one line.
    pub help: &'static str,
}

impl Parameter {
    /// Checks a value against the kind.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when the value is not accepted.
    pub fn check(&self, value: &str) -> Result<()> {
        if self.kind.accepts(value) { Ok(()) } else { Err(self.refusal(value)) }
    }

    /// The error for a value that is not accepted.
    pub fn refusal(&self, value: &str) -> Error {
        Error::new(Status::InvalidOption, format!("{} is '{value}', but must be {}", self.name, self.kind))
    }
}

/// A parameter's name and value.
type Setting = (&'static str, &'static str);

/// Settings of earlier releases, which model files contain, and what replaces them.
const RENAMED: &[(Setting, Setting)] = &[
    (("patchcore.whitening", "on"), ("patchcore.scaling", "whitened")),
    (("patchcore.whitening", "off"), ("patchcore.scaling", "none")),
];

/// A method's parameters with their values.
#[derive(Debug, Clone)]
pub struct Parameters {
    table: &'static [Parameter],
    set: BTreeMap<&'static str, String>,
}

impl Parameters {
    /// All parameters at their defaults.
    pub fn new(table: &'static [Parameter]) -> Self {
        Self { table, set: BTreeMap::new() }
    }

    /// Sets a parameter. A preset replaces all parameters that have been set before.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for an unknown name or a value that is not accepted.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let (parameter, value) = self.parameter(name, value)?;
        if let Kind::Preset(presets) = parameter.kind {
            self.set.clear();
            let chosen = presets.iter().find(|preset| preset.name == value);
            for (name, value) in chosen.map_or(&[][..], |preset| preset.values) {
                self.restore(name, value)?;
            }
        }
        self.set.insert(parameter.name, value.to_owned());
        Ok(())
    }

    /// Sets a parameter alone, also where its value is a preset: for values that have been saved with all others.
    ///
    /// # Errors
    /// As [`Parameters::set`].
    pub fn restore(&mut self, name: &str, value: &str) -> Result<()> {
        let (parameter, value) = self.parameter(name, value)?;
        self.set.insert(parameter.name, value.to_owned());
        Ok(())
    }

    /// The parameter of that name, or of its name today, and the value, which it accepts.
    fn parameter<'a>(&self, name: &str, value: &'a str) -> Result<(Parameter, &'a str)> {
        let renamed = RENAMED.iter().find(|(old, ..)| *old == (name, value)).map(|(_, new)| *new);
        let (name, value) = renamed.unwrap_or((name, value));
        let parameter = *self.table.iter().find(|p| p.name == name).ok_or_else(|| self.unknown(name))?;
        parameter.check(value)?;
        Ok((parameter, value))
    }

    /// The value of a parameter as text. An earlier name has the value that was its own.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for an unknown name, also an earlier one that had no such value.
    pub fn get(&self, name: &str) -> Result<&str> {
        let as_set = |&&((old, _), (now, value)): &&(Setting, Setting)| old == name && self.text(now) == value;
        if let Some(((_, value), _)) = RENAMED.iter().find(as_set) {
            return Ok(value);
        }
        if self.table.iter().all(|p| p.name != name) {
            return Err(self.unknown(name));
        }
        Ok(self.text(name))
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<_> = self.table.iter().map(|p| p.name).collect();
        let message = format!("there is no parameter '{name}'; known are {}", known.join(", "));
        Error::new(Status::InvalidOption, message)
    }

    /// Whether the parameter has been set.
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// The parameters.
    pub fn table(&self) -> &'static [Parameter] {
        self.table
    }

    /// Names and values of all, defaults included.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.table.iter().map(|p| (p.name, self.text(p.name)))
    }

    /// The value as text.
    pub fn text(&self, name: &str) -> &str {
        let default = || self.table.iter().find(|p| p.name == name).map_or("", |p| p.default);
        self.set.get(name).map_or_else(default, String::as_str)
    }

    /// The value of a count.
    pub fn count(&self, name: &str) -> usize {
        self.text(name).parse().expect("checked when set")
    }

    /// The value of a number that is no word.
    pub fn number(&self, name: &str) -> f64 {
        self.text(name).parse().expect("checked when set")
    }

    /// Whether the value, a set of words, has this one.
    pub fn includes(&self, name: &str, word: &str) -> bool {
        self.text(name).split('+').any(|part| part == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Parameter] = &[
        Parameter { name: "m.count", default: "3", kind: Kind::Count(1, 9), help: "" },
        Parameter { name: "m.odd", default: "3", kind: Kind::Odd(1, 9), help: "" },
        Parameter { name: "m.number", default: "0.5", kind: Kind::Number(0.0, 1.0), help: "" },
        Parameter { name: "m.mixed", default: "auto", kind: Kind::NumberOr(0.0, 1.0, &["auto"]), help: "" },
        Parameter {
            name: "m.preset",
            default: "default",
            kind: Kind::Preset(&[
                Preset { name: "default", values: &[] },
                Preset { name: "odd", values: &[("m.odd", "5"), ("m.count", "7")] },
            ]),
            help: "",
        },
        Parameter { name: "m.set", default: "a+b", kind: Kind::Set(&["a", "b", "c"]), help: "" },
    ];

    #[test]
    fn good_values_are_taken() {
        let mut parameters = Parameters::new(TABLE);
        assert_eq!(parameters.count("m.count"), 3);
        for (name, value) in
            [("m.count", "9"), ("m.odd", "7"), ("m.number", "1e-2"), ("m.mixed", "0.25"), ("m.set", "c+a")]
        {
            parameters.set(name, value).unwrap();
        }
        assert_eq!((parameters.number("m.number"), parameters.number("m.mixed")), (0.01, 0.25));
        assert!(parameters.includes("m.set", "c") && !parameters.includes("m.set", "b"));
        parameters.set("m.mixed", "auto").unwrap();
        assert_eq!(parameters.text("m.mixed"), "auto");
    }

    #[test]
    fn presets_set_others_and_can_be_refined() {
        let mut parameters = Parameters::new(TABLE);
        parameters.set("m.number", "1").unwrap();
        parameters.set("m.preset", "odd").unwrap();
        parameters.set("m.count", "2").unwrap();
        assert_eq!(
            ["m.odd", "m.count", "m.number", "m.preset"].map(|name| parameters.text(name)),
            ["5", "2", "0.5", "odd"]
        );
        let mut restored = Parameters::new(TABLE);
        parameters.values().for_each(|(name, value)| restored.restore(name, value).unwrap());
        assert!(restored.values().eq(parameters.values()));
        parameters.set("m.preset", "default").unwrap();
        assert!(parameters.values().eq(Parameters::new(TABLE).values()));
        assert!(parameters.set("m.preset", "none").unwrap_err().message().contains("default, odd"));
    }

    #[test]
    fn renamed_parameters_are_taken() {
        const SCALING: Kind = Kind::Choice(&["whitened", "none"]);
        const OWN: &[Parameter] = &[Parameter { name: "patchcore.scaling", default: "none", kind: SCALING, help: "" }];
        let mut parameters = Parameters::new(OWN);
        for (old, new) in [("on", "whitened"), ("off", "none")] {
            parameters.set("patchcore.whitening", old).unwrap();
            assert_eq!(parameters.text("patchcore.scaling"), new);
            assert_eq!(parameters.get("patchcore.whitening").unwrap(), old);
        }
        assert!(parameters.set("patchcore.whitening", "unit").is_err());
        assert!(Parameters::new(TABLE).set("patchcore.whitening", "on").is_err());
    }

    #[test]
    fn bad_names_and_values_are_named() {
        let mut parameters = Parameters::new(TABLE);
        let error = parameters.set("m.none", "1").unwrap_err();
        assert!(error.message().contains("m.count"), "{error}");
        for (name, bad) in [
            ("m.count", ["0", "10", "-1", "NaN", ""]),
            ("m.odd", ["2", "11", "1.0", "x", "0"]),
            ("m.number", ["NaN", "inf", "-0.1", "1.1", "half"]),
            ("m.mixed", ["NaN", "automatic", "2", "", " "]),
            ("m.set", ["", "a+a", "d", "a+", "a b"]),
        ] {
            for value in bad {
                let error = parameters.set(name, value).unwrap_err();
                assert_eq!(error.status(), Status::InvalidOption);
                assert!(error.message().contains(name) && error.message().contains("must be"), "{error}");
            }
        }
    }
}
