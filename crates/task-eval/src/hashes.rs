//! The hashes by which the harness tells that two runs asked the same.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::preparation::PreparedDocument;
use crate::python::json::dump_indented;
use crate::python::text::python_str;

/// SHA-256 of the document, of the first prompt and of the target, as lower-case hexadecimal.
pub(crate) fn hashes(document: &PreparedDocument) -> [(String, Value); 3] {
    let prompt = document.arguments.first().map_or("", |argument| &argument.context);
    let document_text = dump_indented(&Value::Object(document.values.clone()));
    [
        ("doc_hash".to_owned(), Value::from(sha256(&document_text))),
        ("prompt_hash".to_owned(), Value::from(sha256(prompt))),
        ("target_hash".to_owned(), Value::from(sha256(&python_str(&document.target)))),
    ]
}

pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the documents' hashes, one after the other, once per filter.
pub(crate) fn task_hash(documents: &[PreparedDocument], filters: usize) -> String {
    let one =
        |document| hashes(document).into_iter().filter_map(|(_, hash)| hash.as_str().map(str::to_owned)).collect();
    let once: String = documents.iter().map(|document| -> String { one(document) }).collect();
    sha256(&once.repeat(filters))
}
