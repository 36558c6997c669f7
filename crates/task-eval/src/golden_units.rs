//! `tests/golden/units.json`: vectors from lm-evaluation-harness 0.4.13's own functions and from CPython.

use serde_json::{Value, json};
use tailor_registry::Choice;

use crate::components::Components;
use crate::metrics::{Comparison, argmax};
use crate::python::random::PythonRandom;
use crate::python::regex::PythonRegex;
use crate::python::text::{is_digit, is_space, rstrip};
use crate::template::{Templates, context};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn units() -> Result<Value, serde_json::Error> {
    serde_json::from_str(include_str!("../tests/golden/units.json"))
}

fn list<'a>(units: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    units[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// What Jinja2 can and no task of the harness does: printf formatting of Python's `%`, string literals side by side.
const NOT_BUILT: [&str; 2] = ["{{ '%s-%02d' % (s, n) }}", "{{ 'a' 'b' }}"];

#[test]
fn templates_render_as_in_jinja2() -> Outcome {
    let units = units()?;
    let document = context(units["render_doc"].as_object().ok_or("no document")?);
    let mut wrong = Vec::new();
    for case in list(&units, "render").filter(|case| !NOT_BUILT.contains(&text(case, "t"))) {
        let (mut templates, source) = (Templates::new(), text(case, "t"));
        let rendered = templates.add(source).and_then(|()| templates.render(source, &document));
        match (rendered, case.get("err").is_some()) {
            (Ok(ours), false) if ours == text(case, "out") => {}
            (Err(_), true) => {}
            (ours, _) => wrong.push(format!("{case}: {ours:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn digits_and_whitespace_are_pythons() -> Outcome {
    let units = units()?;
    for (text, expected) in units["isdigit"].as_object().ok_or("no map")? {
        assert_eq!(Some(is_digit(text)), expected.as_bool(), "{text:?}");
    }
    let expected: Vec<u64> = list(&units, "isspace_codepoints").filter_map(Value::as_u64).collect();
    let ours: Vec<u64> = ('\0'..=char::MAX).filter(|&c| is_space(c)).map(u64::from).collect();
    assert_eq!(ours, expected);
    let space = PythonRegex::new(r"\s")?;
    let ours: Vec<u64> = ('\0'..='\u{ffff}')
        .filter(|c| space.find_all(&c.to_string()).is_ok_and(|found| !found.is_empty()))
        .map(u64::from)
        .collect();
    assert_eq!(ours, expected, "of the pattern");
    for case in list(&units, "rstrip_moves") {
        let kept = rstrip(text(case, "ctx"));
        assert_eq!(kept, text(case, "kept"));
        assert_eq!(&text(case, "ctx")[kept.len()..], text(case, "moved"));
    }
    Ok(())
}

#[test]
fn seams_are_delimited_as_in_the_harness() -> Outcome {
    for case in list(&units()?, "maybe_delimit") {
        let ours = crate::chat::joined(text(case, "a"), text(case, "b"), text(case, "d"));
        assert_eq!(ours, text(case, "out"), "{case}");
    }
    Ok(())
}

#[test]
fn patterns_match_as_in_python() -> Outcome {
    let units = units()?;
    for case in list(&units, "re_findall") {
        let found = PythonRegex::new(text(case, "p"))?.find_all(text(case, "s"))?;
        let one = |groups: Vec<Option<&str>>| match groups.as_slice() {
            [one] => json!(one.unwrap_or_default()),
            several => json!(several.iter().map(|group| group.unwrap_or_default()).collect::<Vec<_>>()),
        };
        let ours: Vec<Value> = found.into_iter().map(one).collect();
        assert_eq!(json!(ours), case["out"], "{case}");
    }
    for case in list(&units, "re_sub") {
        let ours = PythonRegex::new(text(case, "p"))?.replace(text(case, "s"), text(case, "r"), 0)?;
        assert_eq!(ours, text(case, "out"), "{case}");
    }
    Ok(())
}

#[test]
fn exact_match_and_argmax_agree_with_the_harness() -> Outcome {
    let units = units()?;
    for case in list(&units, "exact_match") {
        let parameters = case["kw"].as_object().cloned().unwrap_or_default();
        let choice = Choice { name: "exact_match".to_owned(), parameters };
        let exact = Comparison::new(&Components::standard().metrics.choose(&choice)?.1)?;
        assert_eq!(exact.matches(text(case, "p"), text(case, "r"))?, case["out"] == 1.0, "{case}");
    }
    for case in list(&units, "argmax") {
        let values: Vec<f64> = list(case, "in").map(|value| value.as_f64().unwrap_or(f64::NAN)).collect();
        assert_eq!(argmax(&values) as u64, case["out"].as_u64().unwrap_or(u64::MAX), "{case}");
    }
    Ok(())
}

#[test]
fn random_numbers_are_cpythons() -> Outcome {
    for case in list(&units()?, "mt") {
        let seed = case["seed"].as_i64().ok_or("no seed")?.unsigned_abs();
        let mut random = PythonRandom::new(seed);
        for word in list(case, "getrandbits32") {
            assert_eq!(Some(u64::from(random.next_u32())), word.as_u64(), "seed {seed}");
        }
        let mut random = PythonRandom::new(seed);
        for number in list(case, "random") {
            assert_eq!(Some(random.random()), number.as_f64(), "seed {seed}");
        }
        for (sizes, expected) in case["sample"].as_object().into_iter().flatten() {
            let (n, k) = sizes.split_once(',').ok_or("no sizes")?;
            let ours = PythonRandom::new(seed).sample(n.parse()?, k.parse()?);
            assert_eq!(json!(ours), *expected, "seed {seed}, {k} of {n}");
        }
        let mut random = PythonRandom::new(seed);
        for expected in list(case, "sample_seq_37_4") {
            assert_eq!(json!(random.sample(37, 4)), *expected, "seed {seed}");
        }
        let mut random = PythonRandom::new(seed);
        for expected in list(case, "choices") {
            assert_eq!(json!(random.choice(30)), *expected, "seed {seed}");
        }
    }
    Ok(())
}
