//! Parameters: scopes, filters and gradients.
//!
//! mergekit looks a parameter up in the source, the slice, the module and the file, in this order. Each may set it by
//! tensor (filters), and each value may be a list that is stretched over the layers of the slice (a gradient).

use indexmap::IndexMap;
use serde_yaml_ng::Value as Yaml;

use super::methods::is_parameter;
use super::node::Node;
use crate::recipe::is_finite;
use crate::{Error, Filtered, Methods, Setting, Value};

/// The parameters of one place in the file.
#[derive(Default)]
pub(super) struct Scope(IndexMap<String, Vec<Condition>>);

/// A value and the tensors that it is for.
struct Condition {
    /// A piece of the tensor's name; absent: every tensor.
    filter: Option<String>,
    value: Gradient,
}

/// A value that may change from layer to layer.
pub(super) enum Gradient {
    /// The same for all.
    One(Value),
    /// Interpolated.
    Numbers(Vec<f64>),
    /// The nearest below.
    Choices(Vec<Value>),
}

impl Scope {
    /// The `parameters` of a mapping.
    pub fn read(parent: &Node<'_>, methods: &dyn Methods) -> Result<Self, Error> {
        let Some(node) = parent.get("parameters") else { return Ok(Self::default()) };
        let mut scope = Self::default();
        for (key, setting) in node.entries()?.into_iter().filter(|(_, setting)| !setting.value.is_null()) {
            if !is_parameter(methods, key) {
                return Err(setting.fail("no parameter of any merge method"));
            }
            scope.0.insert(key.to_owned(), conditions(&setting)?);
        }
        Ok(scope)
    }

    /// What is set under a name; empty if nothing is.
    fn get(&self, key: &str) -> &[Condition] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

/// What holds for a parameter at the place `t` of a gradient: the innermost scope first, the next where none of its
/// filters fits.
pub(super) fn resolve(scopes: &[&Scope], key: &str, t: f64) -> Option<Setting> {
    let mut list = Vec::new();
    for condition in scopes.iter().flat_map(|scope| scope.get(key)) {
        list.push(Filtered { filter: condition.filter.clone(), value: condition.value.at(t) });
        if condition.filter.is_none() {
            break;
        }
    }
    match list.as_slice() {
        [] => None,
        [Filtered { filter: None, value }] => Some(Setting::One(value.clone())),
        _ => Some(Setting::Filtered(list)),
    }
}

/// A setting: a value, a gradient, or a list of either by tensor.
fn conditions(node: &Node<'_>) -> Result<Vec<Condition>, Error> {
    let several = node.value.as_sequence().is_some_and(|list| list.iter().any(Yaml::is_mapping));
    if several {
        return node.items()?.iter().filter_map(|entry| condition(entry).transpose()).collect();
    }
    Ok(condition(node)?.into_iter().collect())
}

/// A value or a gradient, with a filter or without; `None` for one that says nothing.
fn condition(node: &Node<'_>) -> Result<Option<Condition>, Error> {
    if !node.value.is_mapping() {
        return Ok(gradient(node)?.map(|value| Condition { filter: None, value }));
    }
    node.only(&["value", "filter"])?;
    let filter = node.get("filter").map(|filter| filter.text().map(str::to_owned)).transpose()?;
    let filter = filter.filter(|filter| filter != "*");
    Ok(gradient(&node.needed("value")?)?.map(|value| Condition { filter, value }))
}

/// A value or a list of them; `None` for an empty list, which says nothing.
fn gradient(node: &Node<'_>) -> Result<Option<Gradient>, Error> {
    if !node.value.is_sequence() {
        return Ok(Some(Gradient::One(scalar(node)?)));
    }
    let values = node.items()?.iter().map(scalar).collect::<Result<Vec<_>, _>>()?;
    if values.is_empty() {
        return Ok(None);
    }
    Gradient::of(&values).map(Some).ok_or_else(|| node.fail("numbers beside other values"))
}

/// A single value.
fn scalar(node: &Node<'_>) -> Result<Value, Error> {
    match node.value {
        Yaml::Bool(flag) => Ok(Value::Bool(*flag)),
        Yaml::Number(number) => {
            let number = number.as_f64().filter(|number| is_finite(*number));
            number.map(Value::Number).ok_or_else(|| node.fail("not a finite number"))
        }
        Yaml::String(text) => Ok(Value::Text(text.clone())),
        _ => Err(node.fail("not a value, a list of values or a list of `value` with `filter`")),
    }
}

impl Gradient {
    /// Of a list; `None` for numbers beside other values.
    pub fn of(values: &[Value]) -> Option<Self> {
        let number = |value: &Value| match value {
            Value::Number(number) => Some(*number),
            _ => None,
        };
        match values.iter().map(number).collect::<Option<Vec<_>>>() {
            Some(numbers) => Some(Self::Numbers(numbers)),
            None if values.iter().any(|value| number(value).is_some()) => None,
            None => Some(Self::Choices(values.to_vec())),
        }
    }

    /// The value at `t` of 0 to 1, with mergekit's arithmetic.
    pub fn at(&self, t: f64) -> Value {
        match self {
            Self::One(value) => value.clone(),
            Self::Choices(values) => values[(t * (values.len() - 1) as f64) as usize].clone(),
            Self::Numbers(numbers) => {
                let last = numbers.len() - 1;
                let x = t * last as f64;
                let (low, share) = (x as usize, x.fract());
                Value::Number((1.0 - share) * numbers[low] + share * numbers[last.min(low + 1)])
            }
        }
    }
}
