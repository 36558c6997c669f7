//! Lines that say whether they are whole.

/// Length of `,"c":"01234567"}`.
const SEAL: usize = 16;

/// A JSON object with a last field more: `c`, the CRC-32 of the JSON without it, in 8 hex digits.
pub(crate) fn seal(json: &str) -> String {
    let sum = crc32fast::hash(json.as_bytes());
    let open = json.strip_suffix('}').unwrap_or(json);
    format!("{open},\"c\":\"{sum:08x}\"}}")
}

/// The JSON object that was sealed into `line` (without a line break); none if the line is not whole.
pub(super) fn unseal(line: &[u8]) -> Option<String> {
    let open = line.len().checked_sub(SEAL)?;
    let (content, seal) = std::str::from_utf8(line).ok()?.split_at_checked(open)?;
    let sum = seal.strip_prefix(",\"c\":\"")?.strip_suffix("\"}")?;
    let content = format!("{content}}}");
    (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(content.as_bytes())).then_some(content)
}
