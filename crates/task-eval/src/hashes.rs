//! The hashes by which the harness tells that two runs asked the same: SHA-256, in lower-case hexadecimal, of UTF-8
//! texts.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::preparation::PreparedDocument;
use crate::python::json::dump_indented;
use crate::python::text::python_str;

/// The names and hashes of a document, as a line of the samples has them.
///
/// The document is hashed as `json.dumps(doc, indent=2, ensure_ascii=False)` writes it, its columns in their order; the
/// prompt is the context of the first request; the target is printed as Python's `str` does.
pub(crate) fn hashes(document: &PreparedDocument) -> [(String, Value); 3] {
    let prompt = document.arguments.first().map_or("", |argument| &argument.context);
    let document_text = dump_indented(&Value::Object(document.values.clone()));
    [
        ("doc_hash".to_owned(), Value::from(sha256(&document_text))),
        ("prompt_hash".to_owned(), Value::from(sha256(prompt))),
        ("target_hash".to_owned(), Value::from(sha256(&python_str(&document.target)))),
    ]
}

/// SHA-256 of a text.
pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The harness's `task_hash`: SHA-256 of the documents' hashes, one after the other, once per filter.
pub(crate) fn task_hash(documents: &[PreparedDocument], filters: usize) -> String {
    let one =
        |document| hashes(document).into_iter().filter_map(|(_, hash)| hash.as_str().map(str::to_owned)).collect();
    let once: String = documents.iter().map(|document| -> String { one(document) }).collect();
    sha256(&once.repeat(filters))
}
