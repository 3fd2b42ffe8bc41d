//! What is different between two answers, one line a place: for people.

use serde_json::Value;

/// One line for each place where `got` is not what was expected; none if they are equal.
pub fn differences(expected: &Value, got: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", expected, got, &mut lines);
    lines
}

fn compare(path: &str, expected: &Value, got: &Value, lines: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (key, value) in expected {
                match got.get(key) {
                    Some(other) => compare(&below(path, key), value, other, lines),
                    None => lines.push(format!("{}: expected {value}, got nothing", below(path, key))),
                }
            }
            for (key, value) in got.iter().filter(|(key, _)| !expected.contains_key(*key)) {
                lines.push(format!("{}: expected nothing, got {value}", below(path, key)));
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            for (index, (value, other)) in expected.iter().zip(got).enumerate() {
                compare(&format!("{path}[{index}]"), value, other, lines);
            }
            for (index, value) in expected.iter().enumerate().skip(got.len()) {
                lines.push(format!("{path}[{index}]: expected {value}, got nothing"));
            }
            for (index, value) in got.iter().enumerate().skip(expected.len()) {
                lines.push(format!("{path}[{index}]: expected nothing, got {value}"));
            }
        }
        _ if expected == got => (),
        _ => lines.push(format!("{path}: expected {expected}, got {got}")),
    }
}

fn below(path: &str, key: &str) -> String {
    let plain = key.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
    let key = if plain && !key.is_empty() { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_different_place_has_a_line_with_its_path() {
        let expected = json!({ "answer": { "places": [{ "rank": 1, "lane": "a" }, { "rank": 2 }] }, "same": [1] });
        let got = json!({ "answer": { "places": [{ "rank": 5, "lane": "a" }], "x/y": 1 }, "same": [1] });
        assert_eq!(
            differences(&expected, &got),
            [
                "answer.places[0].rank: expected 1, got 5",
                r#"answer.places[1]: expected {"rank":2}, got nothing"#,
                r#"answer."x/y": expected nothing, got 1"#,
            ]
        );
        assert!(differences(&got, &got).is_empty());
    }
}
