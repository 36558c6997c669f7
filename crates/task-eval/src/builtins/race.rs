//! `race/preprocess_race.py`: an article, its earlier questions with their answers, and the last question.
//!
//! Columns: `article`, and `problems`, a text in which Python has printed a list of questions with their options and
//! answers. Only the last question is asked; those before it are shown with their answers.

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, text, unfit};
use crate::python::literal;

/// The end of a question whose blank stands last.
const BLANK: &str = "  _  .";

/// One of an article's questions.
struct Problem {
    question: String,
    /// Four texts.
    options: Vec<String>,
    /// The right option, from 0.
    answer: usize,
}

/// `doc_to_text`: the article, the earlier questions filled in or answered, and the last question as it is.
pub(super) fn doc_to_text(document: &Columns) -> Result<Value, ColumnProblem> {
    let mut prompt = format!("Article: {}\n\n", text(document, "article")?);
    let (last, earlier) = problems(document)?;
    for Problem { question, options, answer } in earlier {
        let answer = &options[answer];
        // The blank's first space stays: five of its six characters go.
        match question.strip_suffix(BLANK) {
            Some(beginning) => prompt.push_str(&format!("{beginning} {answer}\n")),
            None => prompt.push_str(&format!("Question: {question}\nAnswer: {answer}\n")),
        }
    }
    Ok(Value::from(prompt + &last.question))
}

/// `doc_to_target`: the place of the last question's answer.
pub(super) fn doc_to_target(document: &Columns) -> Result<Value, ColumnProblem> {
    Ok(Value::from(problems(document)?.0.answer))
}

/// `doc_to_choice`: the last question's options.
pub(super) fn doc_to_choice(document: &Columns) -> Result<Value, ColumnProblem> {
    Ok(Value::from(problems(document)?.0.options))
}

/// The last problem, and those before it. The column is a Python literal in a text.
fn problems(document: &Columns) -> Result<(Problem, Vec<Problem>), ColumnProblem> {
    const EXPECTED: &str = "a Python list of {'question', 'options', 'answer'} with four options and an answer A to D";
    let written = text(document, "problems")?;
    let bad = || unfit("problems", EXPECTED, &Value::from(written));
    let list = literal::parse(written);
    let items = list.as_ref().and_then(Value::as_array).ok_or_else(bad)?;
    let mut problems = items.iter().map(problem).collect::<Option<Vec<_>>>().ok_or_else(bad)?;
    let last = problems.pop().ok_or_else(bad)?;
    Ok((last, problems))
}

/// One question of the list; None if it is not written as the task's data are.
fn problem(value: &Value) -> Option<Problem> {
    let options = value["options"].as_array()?.iter().take(4).map(|option| option.as_str().map(str::to_owned));
    let options = options.collect::<Option<Vec<_>>>().filter(|options| options.len() == 4)?;
    let answer = ["A", "B", "C", "D"].iter().position(|letter| value["answer"] == *letter)?;
    Some(Problem { question: value["question"].as_str()?.to_owned(), options, answer })
}
